# One image for every process; the command says which:
#
#   docker build --build-arg COMMIT_SHA=$(git rev-parse HEAD) -t slipway .
#   docker run slipway python -m service worker        (web, scheduler, migrate, doctor …)
#
# For builds that can be repeated to the bit, pin the digest behind the tag (Dependabot renews it):
# python:3.13-slim-trixie@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-trixie

# The packages, in a layer that only a new requirements.txt builds anew. Wheels only: nothing is
# compiled, so there is no compiler to leave behind. No cache is mounted: Railway refuses a
# Dockerfile whose cache is not named after one service, and three are built from this one.
FROM ${PYTHON_IMAGE} AS packages
COPY requirements.txt /
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-deps --require-hashes --only-binary :all: \
        --disable-pip-version-check --no-compile --no-cache-dir -r /requirements.txt \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /venv

# The code, with its bytecode: a process that may write nothing would compile it at each start.
FROM ${PYTHON_IMAGE} AS code
COPY pyproject.toml gunicorn.conf.py /app/
COPY migrations /app/migrations
COPY service /app/service
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app \
    && chmod -R u=rwX,go=rX /app

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin service
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=packages /venv /venv
COPY --from=code /app /app

# Last, since they change with each build.
ARG COMMIT_SHA=
ARG VERSION=0
ARG SOURCE=https://example.com/slipway
ENV COMMIT_SHA=${COMMIT_SHA}
LABEL org.opencontainers.image.title="slipway" \
      org.opencontainers.image.revision="${COMMIT_SHA}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}"

# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "-m", "service", "healthcheck"]
CMD ["python", "-m", "service", "web"]
