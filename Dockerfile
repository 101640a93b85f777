# syntax=docker/dockerfile:1
# Built in two stages: the first installs exactly what uv.lock pins, the second holds only the result.

FROM python:3.11-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
ENV UV_PROJECT_ENVIRONMENT=/opt/region-router UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --no-install-project
COPY router ./router
RUN uv sync --frozen --no-dev --no-editable

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/region-router --create-home region-router
COPY --from=build /opt/region-router /opt/region-router
ENV PATH=/opt/region-router/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    REGION_ROUTER_CONFIG=/etc/region-router/router.toml
USER region-router
# The directory's database belongs on a volume here.
WORKDIR /var/lib/region-router
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["region-router", "healthcheck", "--url", "http://127.0.0.1:9090/livez"]
ENTRYPOINT ["region-router"]
CMD ["serve"]
