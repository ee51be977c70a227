# syntax=docker/dockerfile:1

# A tag follows the security fixes of its base image, so it suits a build that is only tested. An image that ships
# must be reproducible: the release job passes this argument with the digest it resolved (python:...@sha256:...).
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY . .
# The wheel is what users install, so the image is made from it and not from the source tree.
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /dist . \
    && python -m venv --without-pip /opt/artisan \
    && python -m pip --python /opt/artisan install --no-cache-dir /dist/*.whl

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/artisan /opt/artisan
ENV PATH="/opt/artisan/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, not a name: Kubernetes can only prove `runAsNonRoot` for a numeric user.
RUN useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin --uid 10001 artisan \
    && install --directory --owner 10001 /var/lib/artisan
USER 10001
# The records of SQLite, where no other database is named, are in this folder's .artisan.
WORKDIR /var/lib/artisan
EXPOSE 8000
ENTRYPOINT ["artisan"]
# A container is reached from outside it; what reaches it is decided where its port is published.
CMD ["serve", "--host", "0.0.0.0"]
