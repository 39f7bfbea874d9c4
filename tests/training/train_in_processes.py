"""Train on the sample in several processes and print the result of each.

    python tests/training/train_in_processes.py CACHE DEVICES OPTIMIZER
"""
import sys

from yelp_reviews.core.settings import get_settings
from yelp_reviews.data.preparation import prepare
from yelp_reviews.model.batches import BagData
from yelp_reviews.model.text_sentiment import TextSentiment
from yelp_reviews.text.corpus import pack
from yelp_reviews.training.trainer import fit, seed_everything

cache, devices, optimizer = sys.argv[1], int(sys.argv[2]), sys.argv[3]
reviews = prepare("sample", settings=get_settings(cache=cache), progress=False)
corpus = pack(reviews, n_grams=2, bits=16, progress=False)

seed_everything(0)
if optimizer == "fused": model, batch_size = TextSentiment(bits=16), 1024
else: model, batch_size = TextSentiment(16, 4, optimizer, lr=.5), 128
strategy = "ddp" if devices > 1 else "auto"
_, history = fit(model, BagData(corpus, batch_size), accelerator="cpu", devices=devices, strategy=strategy)

# the weights of this process, not those of the best checkpoint, which all processes share
weights = sum(parameter.double().sum().item() for parameter in model.parameters())
print(f"RESULT {history[-1]['val_accuracy']:.4f} {weights:.6f}")
