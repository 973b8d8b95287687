"""From flags to a Recipe: where a wrong value becomes a sentence (worlds: `experiments.lab.worlds`)."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from experiments.errors import RequestError
from simulator.towers.recipe import Recipe


def recipe_from(flags: dict[str, Any]) -> Recipe:
    """The recipe of the flags that were given; RequestError naming flag, value, domain and the nearest valid choice."""
    try:
        return Recipe(**flags)
    except ValidationError as failure:
        raise RequestError(in_words(failure, lambda field: f"--{field.replace('_', '-')}")) from None


def in_words(failure: ValidationError, called: Callable[[str], str] = str) -> str:
    """What is wrong with a recipe, in one sentence; `called` says how its reader wrote a field."""
    error = failure.errors()[0]
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:  # a validator over several fields names them itself
        return message
    field, value, limits = str(error["loc"][0]), error["input"], error.get("ctx", {})
    for name, words in (("ge", "at least"), ("gt", "above"), ("le", "at most")):
        if name in limits:
            near = Recipe.model_fields[field].default if name == "gt" else limits[name]
            hint = "" if near is None else f"; the nearest valid choice is {near}"
            return f"{called(field)} = {value} is not {words} {limits[name]:g}{hint}"
    if error["type"] == "value_error":  # our own sentence, which begins with the value
        return f"{called(field)} = {message}"
    return f"{called(field)} = {value!r}: {message[0].lower()}{message[1:]}"


def checked_prompt(recipe: Recipe, prompt: str | None) -> str | None:
    """The prompt that tops a document: name unless given, None for towers that see no text.

    Raises RequestError for a prompt that would be asked of nobody.
    """
    from simulator.towers.evaluation import prompts_of

    known = prompts_of(recipe)
    if prompt is None or prompt in known:
        return prompt or known[0]
    if known == (None,):
        why = (
            "a last layer that is refitted"
            if recipe.objective.captions
            else f"loss {recipe.loss!r}, which sees no text"
        )
        raise RequestError(f"--prompt = {prompt} has no meaning for {why}; leave it out")
    raise RequestError(
        f"--prompt = {prompt} needs scores that are cosines times a scale, which loss {recipe.loss!r} does not have; "
        f"the prompts that it has are {', '.join(known)}"
    )


def recipe_of(label: str, given: dict[str, Any]) -> Recipe:
    """The recipe that trains the objective of that name, or the objective whose optimum is the learner of that name.

    Raises RequestError for a learner that is no objective's optimum, ValidationError for fields that contradict.
    """
    from simulator.towers.objectives import OBJECTIVES  # start-up time: loads torch

    if label in OBJECTIVES:
        kinds, default = OBJECTIVES[label].towers, Recipe.model_fields["towers"].default
        return Recipe(**{"loss": label, "towers": default if default in kinds else kinds[0], **given})
    for objective in OBJECTIVES.values():
        for towers, learner in objective.population_learner.items():
            if learner == label:
                return Recipe(**{**given, "loss": objective.name, "towers": towers})
    known = [*OBJECTIVES, *(learner for o in OBJECTIVES.values() for learner in o.population_learner.values())]
    raise RequestError(
        f"learner {label!r} is what no towers become; those that can be trained are {', '.join(dict.fromkeys(known))}"
    )
