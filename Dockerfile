# vcq in an image: built here, run as nobody, with a root that need not be written.
#
#   docker build -t vcq .
#   sudo install -d -o 65532 -g 65532 data
#   docker run --rm --read-only -v $PWD/data:/data -e VCQ_APP_ID -e VCQ_APP_SECRET vcq export --discover yesterday
#
# Everything that is written lies in the working directory /data: it belongs to the user 65532. `tests/package.py` runs these
# steps without a container engine.

FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN cargo build --release --locked --bin vcq

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/target/release/vcq /usr/local/bin/vcq
RUN install -d -o 65532 -g 65532 /data
WORKDIR /data
USER 65532:65532
ENTRYPOINT ["vcq"]
CMD ["--help"]
