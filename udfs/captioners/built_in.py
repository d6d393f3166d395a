"""The captioners that come with Evenlake; a new one is a line here."""

from udfs.captioners import grammar, openai, transformers
from udfs.captioners.specs import CaptionerSpec

CAPTIONERS: dict[str, CaptionerSpec] = {
    spec.name: spec for spec in (grammar.SPEC, transformers.SPEC, openai.SPEC)
}
