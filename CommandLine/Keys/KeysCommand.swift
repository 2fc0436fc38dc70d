import ArgumentParser
import Models
import ServiceKit

/// `martlet keys`
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "List, create, rotate and revoke API keys; rotate the key that encrypts the others.",
        discussion: """
            A key is shown once, when it is made; the database keeps a hash of it.

            EXAMPLE:
              martlet keys create --name dashboard --scope profiles:read --scope segments:read --expires 90d
            """,
        subcommands: [List.self, Create.self, Rotate.self, Revoke.self, RotateEncryption.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the API keys.")
        @OptionGroup var options: InstallationOptions

        func run() async throws {
            let keys = try await options.withDatabase { try await APIKeyStore(pool: $0).list() }
            var table = TextTable(header: ["ID", "NAME", "STATE", "CREATED", "SCOPES"])
            let now = Instant.fromSystemClock()
            for key in keys {
                let state =
                    if let revoked = key.revokedAt {
                        "revoked \(revoked.rfc3339)"
                    } else if let end = key.expiresAt {
                        (end <= now ? "expired " : "until ") + end.rfc3339
                    } else { "in force" }
                table.rows.append([
                    key.id.description, key.name, state, key.createdAt.rfc3339,
                    key.scopes.map(\.rawValue).sorted().joined(separator: " "),
                ])
            }
            print(table.text)
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Create an API key.")
        @OptionGroup var options: InstallationOptions
        @Option(help: "What the key is for.") var name: String
        @Option(
            name: .customLong("scope"),
            help: "What the key may do: \(Scope.allCases.map(\.rawValue).joined(separator: ", "))")
        var scopes: [String]
        @Option(help: "How long it is in force, such as 90d; for ever by default.") var expires: String?

        func run() async throws {
            let unknown = scopes.filter { Scope(rawValue: $0) == nil }
            guard unknown.isEmpty, !scopes.isEmpty else {
                throw ValidationError(
                    "unknown scope \(unknown.joined(separator: ", ")); expected one or more of "
                        + Scope.allCases.map(\.rawValue).joined(separator: ", "))
            }
            let now = Instant.fromSystemClock()
            let end = try expires.map { now + (try $0.duration("--expires")) }
            let made = try await options.withDatabase { pool in
                try await APIKeyStore(pool: pool).create(
                    name: name, scopes: Set(scopes.compactMap { Scope(rawValue: $0) }), now: now,
                    expiresAt: end)
            }
            print(made.text)
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a successor of a key; the old one stays in force for a while.")
        @OptionGroup var options: InstallationOptions
        @Argument(help: "The id of the key.") var id: String
        @Option(help: "How long the old key stays in force.") var overlap = "24h"

        func run() async throws {
            let overlap = try overlap.duration("--overlap")
            let id = try id.apiKeyID()
            let made = try await options.withDatabase { pool in
                try await APIKeyStore(pool: pool).rotate(id, overlap: overlap, now: .fromSystemClock())
            }
            guard let made else {
                throw CommandProblem("there is no key \(id) in force; see `martlet keys list`")
            }
            print(made.text)
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "End a key at once.")
        @OptionGroup var options: InstallationOptions
        @Argument(help: "The id of the key.") var id: String

        func run() async throws {
            let id = try id.apiKeyID()
            let revoked = try await options.withDatabase { pool in
                try await APIKeyStore(pool: pool).revoke(id, now: .fromSystemClock())
            }
            guard revoked else {
                throw CommandProblem("there is no key \(id) in force; see `martlet keys list`")
            }
            print("revoked \(id)")
        }
    }
}

extension String {
    /// A duration of the command line.
    func duration(_ option: String) throws -> Duration {
        guard let duration = Duration(text: self), duration > .zero else {
            throw ValidationError(
                "\(option) is \"\(self)\"; expected a duration such as 90s, 15m, 24h or 30d")
        }
        return duration
    }

    fileprivate func apiKeyID() throws -> APIKeyID {
        guard let id = APIKeyID(self) else {
            throw ValidationError("\"\(self)\" is no key id; expected a UUID from `martlet keys list`")
        }
        return id
    }
}
