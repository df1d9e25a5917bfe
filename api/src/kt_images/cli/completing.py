"""Completion of tags in the shell, where the service answers at once."""

import os

import typer

VARIABLE = "_KT_IMAGES_COMPLETE"  # tells for which shell, as in complete_bash
MOST = 50
# Beside letters and digits, what every shell takes for itself. zsh evaluates what it is given, so no tag with other
# characters is offered.
PLAIN = set("_-.,+@%/ ")


def tags_like(context: typer.Context, incomplete: str) -> list[str]:
    """Return the most common tags that begin so, as the shell wants to read them."""
    from kt_images.cli.tagging import tags_at_once

    server = context.params.get("server") or context.find_root().params["server"]
    tags = tags_at_once(server, incomplete, MOST)
    return [_written(tag) for tag in tags if all(one.isalnum() or one in PLAIN for one in tag)]


def changes_like(context: typer.Context, incomplete: str) -> list[str]:
    """Return the same for a word of `kt-images tag`, which begins with + or -."""
    sign, text = incomplete[:1], incomplete[1:]
    return [f"{sign}{tag}" for tag in tags_like(context, text)] if sign in {"+", "-"} else []


def _written(tag: str) -> str:
    """Return the tag as a word of the command line; zsh and fish write it so themselves."""
    match os.environ.get(VARIABLE, "").partition("_")[2]:
        case "bash":
            return tag.replace(" ", "\\ ")
        case "powershell" | "pwsh" if " " in tag:
            return f"'{tag}'"
    return tag
