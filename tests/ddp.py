"Train on the sample in several processes: `python tests/ddp.py CACHE DEVICES OPTIMIZER`; prints the accuracy on validation."
import sys
from yelp_reviews.core.settings import get_settings
from yelp_reviews.data.preparation import prepare
from yelp_reviews.model.batches import BagData
from yelp_reviews.model.text_sentiment import TextSentiment
from yelp_reviews.text.corpus import pack
from yelp_reviews.training.trainer import fit, seed_everything

cache, devices, optimizer = sys.argv[1], int(sys.argv[2]), sys.argv[3]
corpus = pack(prepare("sample", settings=get_settings(cache=cache), progress=False), n_grams=2, bits=16, progress=False)
seed_everything(0)
model = TextSentiment(bits=16) if optimizer == "fused" else TextSentiment(16, 4, optimizer, lr=.5)
trained, history = fit(model, BagData(corpus, batch_size=1024 if optimizer == "fused" else 128), accelerator="cpu", devices=devices,
                       strategy="ddp" if devices > 1 else "auto")
weights = sum(p.double().sum().item() for p in model.parameters()) # this process's own, not the best checkpoint's
print(f"RESULT {history[-1]['val_accuracy']:.4f} {weights:.6f}")
