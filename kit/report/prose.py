"""The page's fixed text: how each number is made, and what the words mean."""

FORMULAS = {
    "Rate of a prompt": (
        "completion tokens, as the server reports them, divided by the seconds from sending the "
        "request to the last byte of the response; summed over the measured passes before "
        "dividing. The warm-up pass and the streaming pass do not count."
    ),
    "Pooled": (
        "the sum of the tokens of all prompts and measured passes, divided by the sum of their "
        "seconds. This is the headline, as in the article."
    ),
    "Mean of columns": (
        "the plain mean of the prompts' rates. It differs from the pooled rate when responses "
        "differ in length, and is shown beside it, never for it."
    ),
    "95 % interval": (
        "Student's t on the logarithms of the complete passes' rates, three passes or more, "
        "around the pooled rate. A ratio takes Welch's method. Restarting an engine moves a cell "
        "by about 1.3 %, which the passes of one start cannot see, so no half-width is below "
        "that."
    ),
    "MoE advantage": (
        "the pooled rate of the MoE model divided by that of the dense one, from bundles of the "
        "same host, topology, suite, prompts and protocol. With three starts of each model or "
        "more, the starts' rates take the place of the passes'."
    ),
    "Roofline": (
        "the bandwidth of the GPUs' memory, by their datasheet, divided by the bytes of weights "
        "that a token of one request takes: of an MoE model, those of its active experts. The KV "
        "cache is left out, so that no context, however short, allows more."
    ),
    "Time to first token": (
        "seconds from sending a request to the first chunk that holds a token, in the streaming "
        "pass."
    ),
    "Inter-token latency": (
        "seconds between two tokens in the streaming pass; the gap before a chunk of several "
        "tokens counts as that many equal ones."
    ),
}

GLOSSARY = {
    "Bundle": ("a folder with everything observed of one cell; its id is a hash of its contents."),
    "Cell": "a model on a topology with a suite of prompts.",
    "Dense": "a model that uses all its weights for every token.",
    "MoE": ("mixture of experts: a model that uses a few of its expert layers for each token."),
    "Pass": "one walk through all prompts of the suite.",
    "Token": "the piece of text that a model writes in one step.",
    "Topology": "which devices serve, and over what they talk to each other.",
    "Twin": (
        "a small model of the same architecture as one of the article's, with random weights. It "
        "shows that the measurement works, and says nothing about the model it is shaped after."
    ),
    "Warm-up": "a first pass whose results are recorded but not counted.",
}
