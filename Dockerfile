# syntax=docker/dockerfile:1
# One static binary, no shell, no root. Build: docker build -t postrider --build-arg VERSION=v1.2.3 .
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=dev TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/postrider ./cmd/postrider
# The data folder must exist with its owner, since there is no shell to make it later.
RUN mkdir -p /out/data /out/tmp && chmod 0700 /out/data && chmod 1777 /out/tmp

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="Postrider" \
      org.opencontainers.image.description="Webhook delivery" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
# Targets are verified against these authorities; --ca-file adds others.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/postrider /postrider
COPY --from=build --chown=65532:65532 /out/data /var/lib/postrider
COPY --from=build --chown=65532:65532 /out/tmp /tmp
USER 65532:65532
# Inside a container loopback reaches nobody. The port is published, or not, outside.
ENV POSTRIDER_DATA=/var/lib/postrider POSTRIDER_LISTEN=:8400
VOLUME /var/lib/postrider
EXPOSE 8400
STOPSIGNAL SIGTERM
ENTRYPOINT ["/postrider"]
CMD ["serve"]
