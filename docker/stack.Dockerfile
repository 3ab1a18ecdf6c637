# The processes of the Procfile as containers. Build context: the checkout. EXTRAS names the extras
# of pyproject.toml to install, at the versions and hashes of uv.lock.
FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home leukoflow \
    && install -d -o leukoflow -g leukoflow /var/lib/leukoflow
WORKDIR /opt/leukoflow
COPY pyproject.toml uv.lock requirements.txt ./
ARG EXTRAS
# EXTRAS is a list of words. uv, at the version and hash of the lock, exports their part of it.
# hadolint ignore=SC2046,SC2086
RUN : ${EXTRAS:?} \
    && python3 -m venv /opt/uv \
    && sed -n '/^uv==/,/# via/p' requirements.txt > /opt/uv/requirements.txt \
    && /opt/uv/bin/pip install --no-cache-dir --require-hashes -r /opt/uv/requirements.txt \
    && /opt/uv/bin/uv export --frozen --offline --no-cache --quiet --no-emit-project \
        $(printf -- '--extra %s ' ${EXTRAS}) --output-file /opt/requirements.txt \
    && python3 -m venv /opt/venv \
    && /opt/uv/bin/uv pip sync --no-cache --compile-bytecode --require-hashes \
        --python /opt/venv/bin/python /opt/requirements.txt \
    && rm -r /opt/uv
COPY bentofile.yaml .git_archival.txt ./
COPY bento_service bento_service
COPY configs configs
COPY dags dags
COPY docker docker
COPY monitoring monitoring
COPY pipeline pipeline
# The commit; `make cluster` sets it, because the image has neither repository nor git.
ARG CODE_VERSION=""
# Compiled now, because the user cannot write there, and every start would compile again.
RUN python3 -m compileall -q bento_service monitoring pipeline
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/leukoflow \
    PYTHONUNBUFFERED=1 \
    LEUKOFLOW_HOME=/var/lib/leukoflow \
    CODE_VERSION=$CODE_VERSION
USER 10001:10001
VOLUME /var/lib/leukoflow
CMD ["python", "-m", "pipeline", "--help"]
