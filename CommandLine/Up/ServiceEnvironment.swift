import Foundation
import Models
import Postgres

/// The environment that each service is started with.
struct ServiceEnvironment {
    let installation: InstallationDirectory
    let owner: PostgresSettings
    let passwords: [ServiceName: String]
    let basePort: Int
    let inherited: [String: String]

    func port(of service: ServiceName) -> Int {
        basePort + service.defaultPort - ServiceName.console.defaultPort
    }

    func url(of service: ServiceName) -> String { "http://127.0.0.1:\(port(of: service))" }

    func variables(for service: ServiceName) -> [String: String] {
        var database = owner
        database.user = service.role
        database.setPassword(passwords[service] ?? "")
        // What the owner may is none of a service's business.
        var result = inherited.filter { $0.key != "MARTLET_OWNER_DATABASE_URL" }
        result["MARTLET_DATABASE_URL"] = database.uri
        result["MARTLET_HOST"] = inherited["MARTLET_HOST"] ?? "127.0.0.1"
        result["MARTLET_PORT"] = String(port(of: service))
        result["MARTLET_SERVICE_SECRET_FILE"] = installation.path(of: .serviceSecret)
        result["MARTLET_IDENTIFIER_SECRET_FILE"] = installation.path(of: .identifierSecret)
        result["MARTLET_KEY_ENCRYPTION_KEYS_FILE"] = installation.path(of: .keyEncryptionKeys)
        for other in ServiceName.allCases {
            let name = "MARTLET_\(other.rawValue.uppercased())_URL"
            result[name] = inherited[name] ?? url(of: other)
        }
        result["MARTLET_OUTBOX_DIRECTORY"] =
            inherited["MARTLET_OUTBOX_DIRECTORY"] ?? installation.path(of: "outbox")
        result["MARTLET_LEDGER_HEADS_DIRECTORY"] =
            inherited["MARTLET_LEDGER_HEADS_DIRECTORY"] ?? installation.path(of: "ledger-heads")
        result["MARTLET_PUBLIC_URL"] = inherited["MARTLET_PUBLIC_URL"] ?? url(of: .delivery)
        result["MARTLET_MAIL_FROM"] = inherited["MARTLET_MAIL_FROM"] ?? "Martlet <shop@martlet.example>"
        return result
    }
}
