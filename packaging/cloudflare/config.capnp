# The same on one machine, by `workerd` (https://github.com/cloudflare/workerd), for trying and for tests:
#
#     node build.mjs
#     mkdir -p /var/tmp/shares
#     workerd serve --experimental config.capnp -d shares=/var/tmp/shares -s http=127.0.0.1:8090

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "site", assets = (path = "dist/site", config = embed "dist/site.json", userWorker = "worker")),
    (name = "shares", disk = (path = "shares", writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8090", http = (), service = "site")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "packaging/cloudflare/worker.js", esModule = embed "worker.js"),
    (name = "packaging/cloudflare/share.js", esModule = embed "share.js"),
    (name = "packaging/cloudflare/items.js", esModule = embed "items.js"),
    (name = "packaging/cloudflare/json.js", esModule = embed "json.js"),
    (name = "packaging/cloudflare/lock.js", esModule = embed "lock.js"),
    (name = "packaging/cloudflare/sealed.js", esModule = embed "sealed.js"),
    (name = "packaging/cloudflare/tries.js", esModule = embed "tries.js"),
    (name = "packaging/cloudflare/limits.js", esModule = embed "limits.js"),
    (name = "packaging/cloudflare/refusal.js", esModule = embed "refusal.js"),
    (name = "packaging/cloudflare/dist/pages.js", esModule = embed "dist/pages.js"),
    (name = "viewer/load/order.js", esModule = embed "../../viewer/load/order.js"),
    (name = "viewer/values.js", esModule = embed "../../viewer/values.js"),
  ],
  compatibilityDate = "2026-11-01",
  durableObjectNamespaces = [(className = "Share", uniqueKey = "shares", enableSql = true)],
  durableObjectStorage = (localDisk = "shares"),
  bindings = [
    (name = "SHARES", durableObjectNamespace = "Share"),
    (name = "ASSETS", service = (name = "site", entrypoint = "AssetWorker")),
    (name = "PUBLIC_URL", fromEnvironment = "PUBLIC_URL"),
    (name = "FRAME_ANCESTORS", fromEnvironment = "FRAME_ANCESTORS"),
    (name = "CREATE_TOKEN", fromEnvironment = "CREATE_TOKEN"),
    (name = "MAX_BODY", fromEnvironment = "MAX_BODY"),
    (name = "MAX_ITEM", fromEnvironment = "MAX_ITEM"),
    (name = "MAX_SHARE", fromEnvironment = "MAX_SHARE"),
    (name = "MAX_ITEMS", fromEnvironment = "MAX_ITEMS"),
    (name = "MAX_VIEWERS", fromEnvironment = "MAX_VIEWERS"),
    (name = "DEFAULT_LIFETIME", fromEnvironment = "DEFAULT_LIFETIME"),
    (name = "MAX_LIFETIME", fromEnvironment = "MAX_LIFETIME"),
    (name = "IDLE_LIFETIME", fromEnvironment = "IDLE_LIFETIME"),
    (name = "UNSYNCED_LIFETIME", fromEnvironment = "UNSYNCED_LIFETIME"),
  ],
);
