# syntax=docker/dockerfile:1
# Built in two stages: the first installs exactly what uv.lock pins, by hash, the second holds only the result.
#
#   docker build -t region-router .
#   docker run --read-only -v router:/var/lib/region-router -v ./router.toml:/etc/region-router/router.toml:ro region-router
#
# It runs as user 10001, needs no capability, and writes nowhere but below /var/lib/region-router.

# Not the slim image: a C compiler is in this one, which makes native code of the rooms that every request passes.
FROM python:3.11-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
ENV UV_PROJECT_ENVIRONMENT=/opt/region-router UV_PYTHON=/usr/local/bin/python3 UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
# What changes seldom comes first: a change of the code alone installs no dependency again.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --extra postgres --extra otel --no-install-project
COPY router ./router
RUN HATCH_BUILD_HOOK_ENABLE_MYPYC=true uv sync --frozen --no-dev --extra postgres --extra otel --no-editable

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/region-router --create-home region-router
COPY --from=build /opt/region-router /opt/region-router
ENV PATH=/opt/region-router/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    REGION_ROUTER_CONFIG=/etc/region-router/router.toml
# By number: a cluster that asks for a user other than root can tell.
USER 10001
# A SQLite directory belongs on a volume here; with PostgreSQL nothing is written at all.
WORKDIR /var/lib/region-router
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["region-router", "healthcheck", "--url", "http://127.0.0.1:9090/livez"]
ENTRYPOINT ["region-router"]
CMD ["serve"]
