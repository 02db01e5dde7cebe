# The image and what is done with it; included by the Makefile. Podman's own way is in container/engine.
SUITE ?= trixie
IMAGE ?= localhost/kleidi:latest
NAME ?= kleidi
bootstrapped = localhost/debian:$(SUITE)-slim
# A base that is named is taken from wherever podman finds it; otherwise it is made here, from Debian's packages.
ifdef BASE
base :=
else
base := base
endif
export BASE ?= $(bootstrapped)
export IMAGE NAME SUITE

.PHONY: engine
engine:
	@.ci/packages engine

.PHONY: base
base: engine
	@container/engine image exists '$(bootstrapped)' || container/base '$(SUITE)' '$(bootstrapped)'

.PHONY: base-image
base-image: engine  ## make the image's base anew from Debian's packages; SUITE=bookworm for Debian 12
	@container/base '$(SUITE)' '$(bootstrapped)'

.PHONY: image
image: engine $(base)  ## build the image IMAGE (localhost/kleidi:latest) on BASE (made here if not given)
	@container/build $(BUILD_FLAGS)

.PHONY: archive
archive: image  ## write the image to dist/kleidi.tar, for nodes without a registry
	@mkdir -p dist && rm -f dist/kleidi.tar
	@echo 'writing dist/kleidi.tar'
	@container/engine save --quiet --format docker-archive --output dist/kleidi.tar '$(IMAGE)'
	@echo "dist/kleidi.tar, $$(du -h dist/kleidi.tar | cut -f 1): copy it to each node, see docs/kubeadm.md"

.PHONY: image-size
image-size: image  ## show how big the image is, and why
	@container/size

.PHONY: sbom
sbom: image  ## copy the image's bill of materials (CycloneDX) and its list of licences to dist/
	@mkdir -p dist
	@container=$$(container/engine create '$(IMAGE)') && trap 'container/engine rm "$$container" >/dev/null' EXIT && \
		for file in sbom.cdx.json licences.txt; do \
		container/engine cp "$$container:/usr/share/kleidi/$$file" dist/ || exit 1; done
	@ls -l dist/sbom.cdx.json dist/licences.txt

.PHONY: up
up: image  ## run the image with podman, its state in named volumes; writes RUN_DIR/podman/kleidi
	@RUN_DIR='$(RUN_DIR)' container/up

.PHONY: down
down:  ## stop and remove that container (NAME=kleidi); its volumes, and so its keys, stay
	@container/engine rm --force --time 20 --ignore '$(NAME)' >/dev/null
	@echo 'removed the container $(NAME); its keys are in the volumes $(NAME)-volume and $(NAME)-etc'

.PHONY: container-test
container-test: system etcd swtpm $(ready) $(server) image  ## the image in its pod: start, stop, kill, upgrade, whatever goes wrong
	@KLEIDI_TEST_SECRETSERVER=$(server) KLEIDI_TEST_IMAGE='$(IMAGE)' $(pytest) tests/container
