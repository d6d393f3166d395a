"""The embedders that come with Evenlake; a new one is a line here. Workers never import this."""

from udfs.embedders import lsa, onnx, pixels, precomputed, sentence_transformers
from udfs.embedders.pretrained import Kind
from udfs.embedders.specs import EmbedderSpec

BUILT_IN: dict[str, EmbedderSpec] = {
    spec.name: spec for spec in (precomputed.SPEC, lsa.SPEC, pixels.SPEC)
}
PRETRAINED: dict[str, Kind] = {kind.name: kind for kind in (sentence_transformers.KIND, onnx.KIND)}
