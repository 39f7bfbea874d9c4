"Package metadata, all of it from settings.ini (nbdev's configuration)."
from configparser import ConfigParser

from setuptools import find_packages, setup

ini = ConfigParser(delimiters=["="])
ini.read("settings.ini", encoding="utf-8")
cfg = ini["DEFAULT"]
extras = {key.removesuffix("_requirements"): cfg[key].split() for key in cfg if key.endswith("_requirements")}

setup(
    packages=[*find_packages(include=["yelp_reviews*"]), "yelp_reviews.runs", "yelp_reviews.apps"],
    version=cfg["version"],
    description=cfg["description"],
    keywords=cfg["keywords"].split(),
    classifiers=cfg["classifiers"].strip().splitlines(),
    author=cfg["author"],
    url=cfg["git_url"],
    project_urls={
        "Documentation": f"{cfg['doc_host']}{cfg['doc_baseurl']}/",
        "Changelog": f"{cfg['git_url']}/blob/{cfg['branch']}/CHANGELOG.md",
        "Issues": f"{cfg['git_url']}/issues",
    },
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    entry_points={"console_scripts": cfg["console_scripts"].split()},
)
