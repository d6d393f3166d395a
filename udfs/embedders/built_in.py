"""The embedders that come with Evenlake; a new one is a line here. Workers never import this."""

from udfs.embedders import lsa, pixels, precomputed
from udfs.embedders.specs import EmbedderSpec

BUILT_IN: dict[str, EmbedderSpec] = {
    spec.name: spec for spec in (precomputed.SPEC, lsa.SPEC, pixels.SPEC)
}
