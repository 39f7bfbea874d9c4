"""The peer of `benchmarks/proxy.py`: a proxy as one writes it in an afternoon.

    python benchmarks/plain_proxy.py PORT DATABASE_URL MODEL_SERVER_URL

A synchronous route in FastAPI's thread pool, a blocking call of the model server, SQLAlchemy's ORM, and one INSERT and
one COMMIT per request.
"""
import sys
from datetime import datetime

import httpx2
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Prediction(Base):
    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    is_positive_user_answered: Mapped[bool|None]
    is_positive_model_answered: Mapped[bool]
    mlflow_run_id: Mapped[str]
    inference_elapsed: Mapped[float]
    timestamp: Mapped[datetime]


class NewPrediction(BaseModel):
    text: str
    is_positive_user_answered: bool|None = None


def create_app(database_url: str, model_server_url: str) -> FastAPI:
    engine = create_engine(database_url, pool_size=20)
    Base.metadata.create_all(engine)
    app, client = FastAPI(), httpx2.Client()

    @app.post("/predictions", status_code=201)
    def predict(new: NewPrediction):
        answer = client.post(f"{model_server_url}/predict", json={"text": new.text}).json()
        with Session(engine) as session:
            row = Prediction(
                text=new.text,
                is_positive_user_answered=new.is_positive_user_answered,
                is_positive_model_answered=bool(answer["is_positive_review"]),
                mlflow_run_id=answer["details"]["mlflow_run_id"],
                inference_elapsed=answer["details"]["inference_elapsed"],
                timestamp=datetime.now(),
            )
            session.add(row)
            session.commit()
            verdicts = {
                "user_answered": row.is_positive_user_answered,
                "model_answered": row.is_positive_model_answered,
            }
            return {"id": row.id, "text": row.text, "is_positive": verdicts, "details": answer["details"]}

    return app


if __name__ == "__main__":
    port, database_url, model_server_url = sys.argv[1:]
    app = create_app(database_url, model_server_url)
    uvicorn.run(app, port=int(port), log_level="warning", access_log=False)
