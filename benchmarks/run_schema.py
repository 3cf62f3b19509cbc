"""Publishes the run file's JSON Schema: `python -m mimdit.benchmarks.run_schema` in a checkout."""

import json
from pathlib import Path

from mimdit.benchmarks.run_file import Run
from mimdit.files import write_file

__all__ = ["SCHEMA_PATH", "schema_text"]

SCHEMA_PATH = Path("docs/schemas/run.schema.json")


def schema_text() -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Run.model_json_schema(mode="serialization")}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write_file(SCHEMA_PATH, schema_text().encode(), overwrite=True)
