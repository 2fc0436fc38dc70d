import Foundation
import Models
import Postgres

/// What an installation on this machine keeps in its directory (`.martlet`): where its database is, its
/// secrets, and what runs. Everything secret is readable to the owner alone.
struct InstallationDirectory: Sendable {
    let path: String

    /// Secrets and state, by file name.
    enum File: String, CaseIterable {
        /// The URL of the database under its owner's role.
        case databaseURL = "database-url"
        /// The passwords of the services' roles, JSON.
        case roles = "roles.json"
        case serviceSecret = "service-secret"
        /// What identifiers are looked up by; changing it would lose sight of all of them.
        case identifierSecret = "identifier-secret"
        /// The keys that data keys are wrapped under; the first wraps, all open.
        case keyEncryptionKeys = "key-encryption-keys"
        /// The first API key, with the scope `admin`.
        case adminKey = "admin-key"
        /// The write key of the source `web`.
        case writeKey = "write-key"
    }

    init(path: String) {
        let absolute = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
        self.path = URL(fileURLWithPath: absolute).standardizedFileURL.path
    }

    func path(of name: String) -> String { path + "/" + name }
    func path(of file: File) -> String { path(of: file.rawValue) }

    func create() throws {
        for directory in [path, path(of: "logs"), path(of: "run"), path(of: "outbox")] {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        }
    }

    /// The content of a file; nil when it is not there.
    func read(_ file: File) -> String? {
        guard let data = FileManager.default.contents(atPath: path(of: file)) else { return nil }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Writes a file that only its owner may read, never half of it.
    func write(_ text: String, to file: File) throws { try Self.writePrivately(text, to: path(of: file)) }

    static func writePrivately(_ text: String, to path: String) throws {
        let temporary = path + ".new"
        _ = unlink(temporary)
        let descriptor = open(temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CommandProblem("cannot write \(path): \(String(cString: strerror(errno)))")
        }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        try handle.write(contentsOf: Data(text.utf8))
        try handle.synchronize()
        guard rename(temporary, path) == 0 else {
            throw CommandProblem("cannot write \(path): \(String(cString: strerror(errno)))")
        }
    }

    // MARK: the database

    /// The database under its owner: as given, from MARTLET_OWNER_DATABASE_URL, of the private cluster
    /// beside, or as remembered from before. A URL of the database `postgres` means: `martlet` there.
    func ownerDatabase(given: String? = nil) throws -> PostgresSettings {
        let environment = ProcessInfo.processInfo.environment["MARTLET_OWNER_DATABASE_URL"]
        let cluster = FileManager.default.contents(atPath: path(of: "postgres/url")).map {
            String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        guard let url = given ?? environment ?? cluster ?? read(.databaseURL) else {
            throw CommandProblem(
                "no database is known for \(path); run `scripts/postgres.sh start \(path)/postgres`, or give"
                    + " --database-url postgres://owner:password@host/database")
        }
        var settings = try PostgresSettings(url: url)
        if settings.database == "postgres" || settings.database.isEmpty { settings.database = "martlet" }
        settings.maxConnections = 4
        settings.applicationName = "martlet"
        return settings
    }

    // MARK: what runs

    /// Which service answers where; written by `martlet up`.
    var runFile: String { path(of: "run/services.json") }

    /// There while everything is up.
    var readyFile: String { path(of: "run/ready") }

    var isReady: Bool { FileManager.default.fileExists(atPath: readyFile) }

    func services() -> [RunningEntry] {
        guard let data = FileManager.default.contents(atPath: runFile) else { return [] }
        return (try? JSONDecoder().decode([RunningEntry].self, from: data)) ?? []
    }

    /// Where a service answers: as MARTLET_<SERVICE>_URL says, where `martlet up` put it, or the default.
    func url(of service: ServiceName) -> String {
        ProcessInfo.processInfo.environment["MARTLET_\(service.rawValue.uppercased())_URL"]
            ?? services().first { $0.service == service }?.url ?? "http://127.0.0.1:\(service.defaultPort)"
    }
}

/// One service as `martlet up` started it.
struct RunningEntry: Codable, Sendable {
    let service: ServiceName
    let url: String
    let pid: Int32
    let state: String
    let restarts: Int
}

/// Why a command cannot do what was asked; the text says how to mend it.
struct CommandProblem: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
