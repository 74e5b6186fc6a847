"""Damages the files of a results folder in every way that a stranger's folder may be damaged."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

WHOLE, DAMAGED = "llama-2-7b-squad-hub-00000001", "llama-2-7b-triviaqa-hub-00000001"
"""Two runs of one results folder: one stays whole, one is to be damaged."""
DEEP = "[" * 5_000 + "]" * 5_000
NESTED = '{"a": ' * 80 + "1" + "}" * 80
MANY_DIGITS = "9" * 5_000
VALUES = [
    None,
    True,
    -1,
    0,
    5,
    10**30,
    1e308,
    1e-308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "{",
    "$^_\\",
    "\ud800",
    "a\nb\x1b[31m",
    "x" * 100_000,
    [],
    [[]],
    [None],
    ["x"],
    {},
    {"a": 1},
    {"a": {"a": []}},
    json.loads(NESTED),
]
"""What may stand in the place of a JSON value."""
TEXTS = ["", "x", "nan", "inf", "-inf", "1e400", "1e-320", "-1", "0", "0.5", MANY_DIGITS, "True", "true", "{", "[1]"]
TEXTS += ["{}", '"{""k"": {""a"": 1}}"', '"{""k"": ""x""}"', '"{""k"": NaN}"', "a\x00b", '"a\nb"', "\x1b[31m", "$^_\\"]
"""What may stand in the place of an entry of a table."""
COLUMNS = [["x"], [None], [float("nan")], [float("inf")], [True], [-1], [10**18], [b"\xff"], [[1]], [{"a": 1}], [""]]
"""What a column of rows.parquet may hold in every row."""


def as_nothing(file):
    """Take the file away."""


def as_folder(file):
    """Put a folder in its place."""
    file.mkdir()


def as_pipe(file):
    """Put a pipe in its place, which nobody writes to."""
    os.mkfifo(file)


def as_link_to_a_device(file):
    """Put a link to a device without an end in its place."""
    file.symlink_to("/dev/zero")


def as_link_to_itself(file):
    """Put a link in its place that leads to itself."""
    file.symlink_to(file.name)


def as_link_out(file):
    """Put a link to a file of somebody else's in its place."""
    other = file.parent.parent / f"secret-{file.name}"
    other.write_text('{"unit": "secret"}\n')
    file.symlink_to(other)


NO_FILES = [as_nothing, as_folder, as_pipe, as_link_to_a_device, as_link_to_itself, as_link_out]
CONTENTS = {
    "empty": b"",
    "a line's end": b"\n",
    "zeros": bytes(300),
    "no UTF-8": b"\xff\xfe{}\n",
    "deep": f"{DEEP}\n".encode(),
    "deep object": f'{{"a": {DEEP}}}\n'.encode(),
    "nested": f"{NESTED}\n".encode(),
    "many digits": f'{{"n": {MANY_DIGITS}}}\n'.encode(),
    "a list": b"[]\n",
    "a number": b"5\n",
    "null": b"null\n",
    "twice": b'{"unit": "a", "unit": "b", "protocol": 1, "protocol": 2}\n',
    "a long line": b'{"unit": "' + b"x" * 1_000_000,
    "a table": b"a,b\n1,2\n",
    "open quote": b'a,b\n"1,2\n',
    "parquet": b"PAR1PAR1",
}


def replace_file(file, make):
    """Let something else stand in a file's place."""
    file.unlink()
    make(file)


def places(value, path=()):
    """Every place within a JSON value, as the keys that lead there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, one in inner for place in places(one, (*path, key))]


def put(value, path, new):
    """A copy of a JSON value with another value at a place, or, if that is `put` itself, with nothing there."""
    value = json.loads(json.dumps(value))
    *way, last = path
    at = value
    for key in way:
        at = at[key]
    if new is put:
        del at[last]
    else:
        at[last] = new
    return value


@st.composite
def damaged_json(draw, text):
    """The text of a JSON object with another value in one to three places, or none."""
    value = json.loads(text)
    for _ in range(draw(st.integers(1, 3))):
        known = places(value)
        if known:
            value = put(value, draw(st.sampled_from(known)), draw(st.sampled_from([put, *VALUES])))
    return json.dumps(value)


@st.composite
def damaged_lines(draw, text):
    """The text of JSON lines of which one is damaged."""
    lines = text.splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    lines[at] = draw(damaged_json(lines[at]))
    return "".join(f"{line}\n" for line in lines)


@st.composite
def damaged_table(draw, text):
    """The text of a CSV of which one to three entries are others, or a column or a line is gone or stands twice."""
    rows = [line.split("\x1f") for line in _entries(text)]
    kind = draw(st.sampled_from(["entries", "entries", "column", "line", "twice"]))
    column, line = draw(st.integers(0, len(rows[0]) - 1)), draw(st.integers(1, len(rows) - 1))
    if kind == "entries":
        for _ in range(draw(st.integers(1, 3))):
            rows[line][column] = draw(st.sampled_from(TEXTS))
            column, line = draw(st.integers(0, len(rows[0]) - 1)), draw(st.integers(0, len(rows) - 1))
    elif kind == "column":
        rows = [row[:column] + row[column + 1 :] for row in rows]
    elif kind == "line":
        del rows[line]
    else:
        rows.append(rows[line])
    return "".join(",".join(row) + "\n" for row in rows)


def _entries(text):
    """The lines of a CSV, its entries as they are written, divided by a character that is in none."""
    inside, out = False, []
    for character in text:
        inside ^= character == '"'
        out.append("\x1f" if character == "," and not inside else character)
    return "".join(out).splitlines()


@st.composite
def damaged_parquet(draw, file):
    """Bytes of a table of which a column is another or gone, or some bytes of the file are others or gone."""
    kind = draw(st.sampled_from(["column", "column", "gone", "flipped", "cut"]))
    content = bytearray(file.read_bytes())
    if kind == "cut":
        return bytes(content[: draw(st.integers(0, len(content) - 1))])
    if kind == "flipped":
        for _ in range(draw(st.integers(1, 4))):
            content[draw(st.integers(0, len(content) - 1))] ^= draw(st.integers(1, 255))
        return bytes(content)
    table = pq.read_table(file)
    name = draw(st.sampled_from(table.column_names))
    at = table.column_names.index(name)
    if kind == "gone":
        table = table.remove_column(at)
    else:
        table = table.set_column(at, name, pa.array(draw(st.sampled_from(COLUMNS)) * len(table)))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
