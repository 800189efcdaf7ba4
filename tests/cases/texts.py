"""Ways to tamper with what was asked and with what was answered, each with the code that names it.

As `tampering.py`.
"""

from kit.bundle.record import FinishReason
from tests.factory import Draft, change_record


def another_question(made: Draft) -> None:
    """Each request of every pass asked something short, and was padded to the same length."""
    for position, record in enumerate(made.records):
        change_record(made, position, prompt_token_ids=(7,) * (record.prompt_tokens or 0))


def the_prompt_of_another_request(made: Draft) -> None:
    """The same prompt is asked under two names, in every pass."""
    ids = {record.prompt_id: record.prompt_token_ids for record in made.records}
    for position, record in enumerate(made.records):
        asked = ids["impl" if record.prompt_id == "test" else record.prompt_id]
        change_record(made, position, prompt_token_ids=asked)


def a_twin_that_stops_by_itself(made: Draft) -> None:
    for position in range(len(made.records)):
        change_record(made, position, finish_reason=FinishReason.STOP)
