"""Parses a Dockerfile into its stages; it knows only the syntax that our Dockerfile uses."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """`steps` are (instruction, rest of the line), continuation lines joined."""

    image: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [rest for word, rest in self.steps if word == instruction]

    def only(self, instruction: str) -> str:
        (rest,) = self.all(instruction)
        return rest

    def words(self, instruction: str) -> list[str]:
        """The exec form, which is JSON."""
        found: list[str] = json.loads(self.only(instruction))
        return found

    @property
    def env(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for rest in self.all("ENV") for pair in rest.split())


def read_dockerfile(file: Path) -> list[Stage]:
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.M).replace("\\\n", " ")
    stages: list[Stage] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        instruction, rest = line.split(None, 1)
        if instruction == "FROM":
            image, _, name = rest.partition(" AS ")
            stages.append(Stage(image, name))
        else:
            stages[-1].steps.append((instruction, " ".join(rest.split())))
    return stages
