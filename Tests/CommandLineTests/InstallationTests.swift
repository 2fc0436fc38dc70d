import Foundation
import Models
import Postgres
import Testing

@testable import CommandLine

@Suite struct InstallationTests {
    private func withFolder(_ body: (InstallationDirectory) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID())").path
        let installation = InstallationDirectory(path: folder)
        try installation.create()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(installation)
    }

    @Test("secrets are made once, and readable to their owner alone")
    func secrets() throws {
        try withFolder { installation in
            let secrets = Secrets(installation: installation)
            let secret = try secrets.serviceSecret()
            let passwords = try secrets.rolePasswords()
            #expect(secret.utf8.count == 48)
            #expect(try secrets.serviceSecret() == secret)
            #expect(try secrets.rolePasswords() == passwords)
            #expect(Set(passwords.values).count == ServiceName.allCases.count)
            for file in [InstallationDirectory.File.serviceSecret, .roles] {
                let attributes = try FileManager.default.attributesOfItem(atPath: installation.path(of: file))
                #expect(attributes[.posixPermissions] as? Int == 0o600)
            }
        }
    }

    @Test("a service gets its own role and never the owner's URL")
    func environment() throws {
        try withFolder { installation in
            let environment = ServiceEnvironment(
                installation: installation,
                owner: try PostgresSettings(url: "postgres://boss:hidden@db.example/martlet"),
                passwords: [.consent: "0123"], basePort: 9000,
                inherited: [
                    "MARTLET_OWNER_DATABASE_URL": "postgres://boss:hidden@db.example/martlet",
                    "MARTLET_SMTP_URL": "smtp://relay.example", "MARTLET_JOURNEYS_URL": "http://other:1",
                ]
            ).variables(for: .consent)
            #expect(environment["MARTLET_OWNER_DATABASE_URL"] == nil)
            #expect(environment["MARTLET_PORT"] == "9003")
            #expect(environment["MARTLET_INGESTION_URL"] == "http://127.0.0.1:9001")
            #expect(environment["MARTLET_JOURNEYS_URL"] == "http://other:1")
            #expect(environment["MARTLET_SMTP_URL"] == "smtp://relay.example")
            let database = try PostgresSettings(url: environment["MARTLET_DATABASE_URL"] ?? "")
            #expect(database.user == "martlet_consent")
            #expect(database.database == "martlet")
            #expect(environment.values.contains { $0.contains("hidden") } == false)
        }
    }

    @Test("a URL of the database `postgres` means `martlet` on that server")
    func ownerDatabase() throws {
        try withFolder { installation in
            let maintenance = try installation.ownerDatabase(given: "postgres://a:b@h/postgres")
            #expect(maintenance.database == "martlet")
            let other = try installation.ownerDatabase(given: "postgres://a:b@h/other")
            #expect(other.database == "other")
        }
    }

    @Test("every service has an example of each kind to read, or the loader says where it looked")
    func examples() throws {
        #expect(throws: CommandProblem.self) { try ExampleLoader.find(given: "/nowhere") }
    }
}
