# Kurir by itself: a program, the authorities that it trusts, and nothing else.
#
#   docker build -t kurir .
#   podman build --format docker -t kurir .    # the other format knows no HEALTHCHECK
#
# compose.example.yaml and docs/kubernetes.yaml show it beside a website.

FROM golang:1.26 AS build
# The version that Kurir tells, and where Go gets modules from if not from the usual place.
ARG VERSION=
ARG GOPROXY=
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -tags nethttpomithttp2,timetzdata -ldflags "-s -w -X main.release=$VERSION" -o /image/usr/bin/kurir ./cmd/kurir \
 && mkdir -p /image/etc/ssl/certs /image/state/kurir /image/run/kurir \
 && chmod 1777 /image/run/kurir \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && cp LICENSE /image/

FROM scratch
COPY --from=build /image/etc /etc
COPY --from=build /image/usr /usr
COPY --from=build /image/LICENSE /usr/share/doc/kurir/
# A new volume takes its owner from here, and a tmpfs its mode.
COPY --from=build --chown=65532:65532 /image/state /var/lib
COPY --from=build --chown=65532:65532 /image/run /run
USER 65532:65532
ENV KURIR_STATE_DIR=/var/lib/kurir
VOLUME /var/lib/kurir
EXPOSE 25
# 0 as long as Kurir runs and answers. That the provider is in trouble is told
# elsewhere: no restart would mend it, and mail is taken all the while.
HEALTHCHECK --interval=10s --timeout=5s CMD ["/usr/bin/kurir", "status"]
ENTRYPOINT ["/usr/bin/kurir"]
CMD ["serve"]
