package import Models

/// What `--help` says of the settings: all that a service reads, with what they mean and what holds unless they are set.
package enum SettingsHelp {
    /// A setting without `MARTLET_`.
    private struct Setting {
        let name: String
        let meaning: String
    }

    private static func setting(_ name: String, _ meaning: String) -> Setting {
        Setting(name: name, meaning: meaning)
    }

    /// The settings of a service, a line each.
    package static func text(of service: ServiceName) -> String {
        let settings = common + (own[service] ?? [])
        let width = settings.reduce(0) { max($0, $1.name.utf8.count) }
        return settings.map { setting in
            let gap = String(repeating: " ", count: width - setting.name.utf8.count + 2)
            return "  MARTLET_\(setting.name)\(gap)\(setting.meaning)\n"
        }.joined()
    }

    private static let common = [
        setting("DATABASE_URL", "PostgreSQL, under the service's own role; must be set"),
        setting("OWNER_DATABASE_URL", "the same under the owner of the schemas, for `migrate` alone"),
        setting("SETTINGS", "a JSON file with settings: {\"martlet\": {\"port\": 8101}}"),
        setting("HOST", "the address to listen on (127.0.0.1)"),
        setting("PORT", "the port to listen on (each service has its own)"),
        setting("<SERVICE>_URL", "where another service answers (its usual port on this machine)"),
        setting(
            "SERVICE_SECRET_FILE",
            "a file with what the services know each other by; or MARTLET_SERVICE_SECRET itself; must be set"),
        setting(
            "IDENTIFIER_SECRET_FILE",
            "a file with the key of the hashes of identifiers; or MARTLET_IDENTIFIER_SECRET itself"),
        setting(
            "KEY_ENCRYPTION_KEYS_FILE",
            "a file with the keys over the data keys; or MARTLET_KEY_ENCRYPTION_KEYS itself"),
        setting("LOG_LEVEL", "trace, debug, info, notice, warning, error or critical (info)"),
        setting("DATABASE_CONNECTIONS", "connections to PostgreSQL, 2 to 200 (12)"),
        setting("STATEMENT_TIMEOUT", "how long a statement may take (60s)"),
        setting(
            "MAX_CONNECTIONS",
            "connections of clients at a time (10,000, or what the limit of open files leaves)"),
        setting(
            "RATE_LIMIT_PER_SECOND",
            "requests a second of one API key, or of one address without a key (20,000)"),
        setting("RATE_LIMIT_BURST", "requests at once of the same (40,000)"),
        setting(
            "TRUSTED_PROXIES", "addresses or networks of proxies whose X-Forwarded-For is believed (none)"),
        setting(
            "LEDGER_HEADS_DIRECTORY",
            "where the signed ends of the ledger and of the audit logs go every hour (nowhere)"),
        setting("HTTP_HEAD_TIMEOUT", "how long the head of a request may take"),
        setting("HTTP_IDLE_TIMEOUT", "how long a connection may rest between requests"),
        setting("HTTP_GRACE", "how long a client may be slower than the minimum rate"),
        setting("HTTP_MINIMUM_RATE", "bytes a second below which a client is slow"),
    ]

    private static let own: [ServiceName: [Setting]] = [
        .ingestion: [
            setting(
                "INGESTION_PUBLIC_URL", "the address that the world reaches ingestion at, which webhooks sign"
            ),
            setting("INGESTION_WINDOW", "how long a messageId is remembered (30d)"),
            setting(
                "INGESTION_RETENTION",
                "how long raw events are kept until there is a retention policy (for ever)"),
            setting("INGESTION_SOURCE_ITEMS_PER_SECOND", "items a second of one source (50,000)"),
            setting("INGESTION_QUEUE_ITEMS", "items that may wait to be written (20,000)"),
            setting("INGESTION_ITEM_BYTES", "bytes of an item (32 KB)"),
            setting("INGESTION_BODY_BYTES", "inflated bytes of a request (500 KB)"),
            setting("INGESTION_BATCH_ITEMS", "items of a request (2,500)"),
            setting("INGESTION_IMPORT_ITEM_BYTES", "bytes of an item of /v1/import and of imports"),
            setting("INGESTION_IMPORT_BODY_BYTES", "inflated bytes of a request to /v1/import"),
            setting("INGESTION_IMPORT_FILE_BYTES", "bytes of a file that is imported"),
            setting("INGESTION_IMPORT_INFLATED_BYTES", "bytes of such a file when it is inflated"),
            setting("INGESTION_IMPORT_CHUNK_BYTES", "bytes of one piece of such a file"),
            setting("INGESTION_IMPORT_BATCH_EVENTS", "events of an import in one transaction"),
            setting("INGESTION_DEBUGGERS", "debuggers that may be open at a time (32)"),
            setting("INGESTION_DEBUGGER_LONGEST", "how long one may stay open"),
            setting("INGESTION_DEBUGGER_PING", "how often one is told that nothing came"),
        ],
        .identity: [
            setting("MATCHING_PROFILES", "people whom matching keeps in memory at most (1,000,000)"),
            setting("MATCHING_RECORD_DAYS", "how many days records for matching are kept (30)"),
            setting("WEBHOOK_ALLOW_HTTP", "true lets webhooks go out without TLS (false)"),
            setting("WEBHOOK_ALLOWED_NETWORKS", "private networks that webhooks may go to (none)"),
        ],
        .consent: [
            setting(
                "ERASURES_EVERY",
                "how often what a backup must not bring back is written beside the signed ends (60s)"),
            setting("CONTROLLER_NAME", "who is responsible, as receipts of consent name it (nobody)"),
            setting("CONTROLLER_CONTACT", "where people reach who is responsible (nowhere)"),
            setting(
                "PREFERENCES_URL", "the address that the world reaches consent at, for people's own pages"),
        ],
        .segmentation: [
            setting("SEGMENTATION_SETTLE", "how long facts may be on their way before time takes effect (5s)")
        ],
        .delivery: [
            setting("SMTP_URL", "where mail goes, smtp://user:password@host:587; files without it"),
            setting("SMTP_CONNECTIONS", "connections to it at a time (16)"),
            setting("MAIL_FROM", "the sender of mail"),
            setting("PUBLIC_URL", "the address that the world reaches delivery at, for links in messages"),
            setting("PREFERENCES_URL", "the same that consent is given, for people's own pages"),
            setting("OUTBOX_DIRECTORY", "where messages become files when there is no SMTP_URL"),
            setting("SEND_LEASE", "how long a send may take before another instance takes it (60s)"),
        ],
    ]
}
