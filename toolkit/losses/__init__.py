"""Every loss by name. Each one turns logits (N, K, H, W) and targets (N, H, W) into one finite number."""

from toolkit.registry import Entry, Registry

LOSSES = Registry(
    "loss",
    {"ce": Entry("toolkit.losses.cross_entropy:CrossEntropy", "cross-entropy, with class weights")},
)
