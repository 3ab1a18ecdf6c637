# The prediction service with its model. Build context: the folder of a built Bento.
FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home leukoflow
COPY env/python/requirements.txt /opt/requirements.txt
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /opt/requirements.txt
COPY . /opt/bento
# Compiled now, because the user cannot write there, and every start would compile again.
RUN python3 -m compileall -q /opt/bento/src
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/bento/src \
    PYTHONUNBUFFERED=1 \
    BUNDLE_DIR=/opt/bento/src/bundle \
    BENTOML_HOME=/home/leukoflow/bentoml \
    LEUKOFLOW_HOME=/home/leukoflow/state \
    BENTOML_DO_NOT_TRACK=True
USER 10001:10001
WORKDIR /home/leukoflow
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:3000/readyz', timeout=4)"]
# The Procfile's command, listening on all interfaces of the container.
CMD ["python", "-m", "bento_service", "--host", "0.0.0.0", "--port", "3000"]
