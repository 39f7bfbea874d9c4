"Connection strings as hosting services hand them out reach PostgreSQL as they are meant."
import asyncio

import certifi
import sqlalchemy as sa
from conftest import new_database

from yelp_reviews.core.settings import ProxySettings, get_settings
from yelp_reviews.proxy.database import open_database

HOSTED = (
    "sslmode=prefer&channel_binding=require&target_session_attrs=any"
    "&application_name=shop&options=-c%20work_mem%3D5MB"
)


def test_parameters_of_hosted_postgresql_are_accepted_and_have_their_effect(postgres):
    url = new_database(postgres)
    url += ("&" if "?" in url else "?") + f"{HOSTED}&sslrootcert={certifi.where()}"
    settings = get_settings(ProxySettings, database_url=url)

    async def read_settings() -> list[str]:
        async with open_database(settings) as engine, engine.connect() as connection:
            return [await connection.scalar(sa.text(f"SHOW {name}")) for name in ("application_name", "work_mem")]

    assert asyncio.run(read_settings()) == ["shop", "5MB"]
