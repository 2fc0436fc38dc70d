import Crypto
import Foundation
import Models
import Postgres
import Sealing
import ServiceKit

/// Makes an installation's secrets on first use and finds them again later.
struct Secrets {
    let installation: InstallationDirectory

    /// The secret that service tokens are signed with.
    func serviceSecret() throws -> String { try secret(.serviceSecret) }

    /// The secret that the keyed hashes of identifiers are made with.
    func identifierSecret() throws -> String { try secret(.identifierSecret) }

    /// The keys that data keys are wrapped under, one a line.
    func keyEncryptionKeys() throws -> [KeyEncryptionKeys.Entry] {
        if let text = installation.read(.keyEncryptionKeys) { return try KeyEncryptionKeys.parse(text) }
        let entry = KeyEncryptionKeys.Entry.random()
        try installation.write(entry.text + "\n", to: .keyEncryptionKeys)
        return [entry]
    }

    private func secret(_ file: InstallationDirectory.File) throws -> String {
        if let secret = installation.read(file) { return secret }
        let secret = Self.random()
        try installation.write(secret, to: file)
        return secret
    }

    /// The password of each service's role.
    func rolePasswords() throws -> [ServiceName: String] {
        var passwords: [String: String] = [:]
        if let text = installation.read(.roles) {
            passwords = try JSONDecoder().decode([String: String].self, from: Data(text.utf8))
        }
        let missing = ServiceName.allCases.filter { passwords[$0.rawValue] == nil }
        if !missing.isEmpty {
            for service in missing { passwords[service.rawValue] = Self.random() }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
            try installation.write(String(decoding: try encoder.encode(passwords), as: UTF8.self), to: .roles)
        }
        return Dictionary(
            passwords.compactMap { name, password in ServiceName(rawValue: name).map { ($0, password) } },
            uniquingKeysWith: { first, _ in first })
    }

    /// The first API key, made again when the database does not know the one in the file.
    func adminKey(pool: PostgresPool) async throws -> String {
        let store = APIKeyStore(pool: pool)
        let now = Instant.fromSystemClock()
        if let text = installation.read(.adminKey), try await store.find(text: text, now: now) != nil {
            return text
        }
        let made = try await store.create(name: "first key of martlet up", scopes: [.admin], now: now)
        try installation.write(made.text, to: .adminKey)
        return made.text
    }

    /// 192 random bits in hexadecimal digits, which need no escaping anywhere.
    static func random() -> String {
        SymmetricKey(size: .bits192).withUnsafeBytes { bytes in
            bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
    }
}
