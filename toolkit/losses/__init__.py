"""Every loss by name. Each one turns logits (N, K, H, W) and targets (N, H, W) into one finite number.

Their parameters, and how `focal:gamma=3` is read: `toolkit/losses/build.py`.
"""

from toolkit.registry import Entry, Registry

LOSSES = Registry(
    "loss",
    {
        "ce": Entry("toolkit.losses.cross_entropy:CrossEntropy", "cross-entropy, with class weights"),
        "bce": Entry("toolkit.losses.cross_entropy:BinaryCrossEntropy", "cross-entropy of two classes, by a sigmoid"),
        "focal": Entry("toolkit.losses.focal:Focal", "cross-entropy that turns away from what is learnt already"),
        "ohem": Entry("toolkit.losses.ohem:Ohem", "cross-entropy of the hardest pixels only"),
        "dice": Entry("toolkit.losses.dice:Dice", "overlap of each class, however small"),
        "dice-squared": Entry("toolkit.losses.dice:SquaredDice", "Dice with squares in the denominator"),
        "ce-dice": Entry("toolkit.losses.dice:CrossEntropyDice", "cross-entropy and Dice, added"),
        "tversky": Entry("toolkit.losses.tversky:Tversky", "Dice that punishes missed pixels more than false ones"),
        "lovasz": Entry("toolkit.losses.lovasz:Lovasz", "IoU itself, extended to probabilities"),
    },
)
