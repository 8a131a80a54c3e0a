"""A program of its own: run an ncnn network on some inputs, because what ncnn cannot do may end its whole process.

    python ncnn_probe.py PARAM BIN INPUTS OUTPUTS

INPUTS, OUTPUTS: .npz files of float32 (3, h, w) and (K, r h, r w), under the same names. Exit code 1: ncnn refused.
"""

import sys

import ncnn
import numpy as np


def main(param: str, weights: str, inputs: str, outputs: str) -> int:
    """Compute and write OUTPUTS."""
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(param) != 0 or net.load_model(weights) != 0:
        return 1
    found = {}
    with np.load(inputs) as given:
        for name in given:
            pixels = np.ascontiguousarray(given[name])
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(pixels))
            status, output = extractor.extract("out0")
            if status != 0:
                return 1
            found[name] = np.array(output)
    np.savez(outputs, **found)  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
