"""Cases that damage the JSON of the document and of the records, and seal the bag again."""

from kit.bundle import bag
from kit.format import canonical
from tests.cases.case import damaged, edit, group
from tests.edits.files import Files, reseal, reseal_changed, respell

VERSION = b'"schema_version":1'
PASSES = b'"measured_passes":3'
TEMPERATURE = b'"temperature":0.7'
RUNTIME = b'"runtime":'
RECORD = b'{"completion_tokens"'


def write_number_as_text(files: Files) -> None:
    """Let the text of the first record be a number."""
    field = canonical.encode({"text": 1}).strip(b"{}\n")
    first, *rest = files[bag.RECORDS].split(b"\n")
    start, end = first.index(b'"text"'), first.index(b',"token_ids"')
    reseal(files, bag.RECORDS, b"\n".join([first[:start] + field + first[end:], *rest]))


JSON_TEXT = group(
    "JSON of the document and the records",
    damaged("The document is not JSON", "schema-json", edit(reseal, bag.DOCUMENT, b"{")),
    damaged("The document is an array", "schema-shape", edit(reseal, bag.DOCUMENT, b"[]\n")),
    damaged("The document is a hundred thousand arrays deep", "schema-json",
            edit(reseal, bag.DOCUMENT, b"[" * 100_000 + b"]" * 100_000)),
    damaged("The document is larger than 4 MiB", "schema-limits",
            edit(reseal_changed, bag.DOCUMENT, lambda text: text + b" " * (4 * 2**20))),
    damaged("The schema's version is newer", "schema-version",
            edit(respell, VERSION, b'"schema_version":2')),
    damaged("The schema's version is older", "schema-version",
            edit(respell, VERSION, b'"schema_version":0')),
    damaged("The schema's version has 5,000 digits", "schema-json",
            edit(respell, VERSION, b'"schema_version":' + b"1" * 5000)),
    damaged("A key is repeated", "schema-canonical",
            edit(respell, RUNTIME, b'"runtime":"process","runtime":')),
    damaged("A space follows a key", "schema-canonical", edit(respell, RUNTIME, b'"runtime": ')),
    damaged("A number has a trailing zero", "schema-canonical",
            edit(respell, TEMPERATURE, b'"temperature":0.70')),
    damaged("An absent field is null", "schema-shape",
            edit(respell, b'"engine":{"build"', b'"engine":{"blob":null,"build"')),
    damaged("A prompt has an unknown field", "schema-shape",
            edit(respell, b'{"id":"impl"', b'{"extra":1,"id":"impl"')),
    damaged("A number is NaN", "schema-json", edit(respell, TEMPERATURE, b'"temperature":NaN')),
    damaged("A number's exponent is too large for a double", "schema-json",
            edit(respell, TEMPERATURE, b'"temperature":1e999')),
    damaged("A number has 50 digits", "schema-shape",
            edit(respell, PASSES, b'"measured_passes":' + b"9" * 50)),
    damaged("A number has 5,000 digits", "schema-json",
            edit(respell, PASSES, b'"measured_passes":' + b"9" * 5000)),
    damaged("A record has an unknown field", "schema-shape",
            edit(respell, RECORD, b'{"a":1,"completion_tokens"', bag.RECORDS)),
    damaged("A record is not JSON", "schema-json",
            edit(respell, RECORD, b'"completion_tokens"', bag.RECORDS)),
    damaged("A record's text is a number", "schema-shape", write_number_as_text),
    damaged("A token id is a fraction", "schema-shape",
            edit(respell, b'"prompt_token_ids":[5,', b'"prompt_token_ids":[5.5,', bag.RECORDS)),
    damaged("The records end in an empty line", "schema-json",
            edit(reseal_changed, bag.RECORDS, lambda text: text + b"\n")),
    damaged("The last record has no newline", "schema-canonical",
            edit(reseal_changed, bag.RECORDS, lambda text: text[:-1])),
    damaged("Lines of records end in CRLF", "schema-canonical",
            edit(reseal_changed, bag.RECORDS, lambda text: text.replace(b"\n", b"\r\n"))),
    damaged("There are no records", "protocol-requests", edit(reseal, bag.RECORDS, b"")),
    damaged("There are more records than allowed", "schema-limits",
            edit(reseal, bag.RECORDS, b"\n" * 100_001)),
)  # fmt: skip
