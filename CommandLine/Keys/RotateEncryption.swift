import ArgumentParser
import Foundation
import Models
import Postgres
import Sealing
import ServiceKit

/// `martlet keys rotate-encryption`
struct RotateEncryption: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-encryption",
        abstract: "Put the key-encryption key by for a new one, while everything runs.",
        discussion: """
            Everything personal in the database is sealed under data keys, and these are wrapped under the first of the
            key-encryption keys, which are not in the database. This makes a new first key in the installation's
            directory, which running services read by themselves, and wraps every data key anew. It may be stopped and
            run again with --continue. Where the keys are kept elsewhere, put the new one first in
            MARTLET_KEY_ENCRYPTION_KEYS of every service and of this command, restart them, and run it with --continue.

            EXAMPLE:
              martlet keys rotate-encryption
              martlet keys rotate-encryption --continue --forget-old
            """)
    @OptionGroup var options: InstallationOptions
    @Flag(name: .customLong("continue"), help: "Make no new key; wrap what is left under the first there is.")
    var continues = false
    @Flag(help: "Take the older keys out of the file, once they wrap nothing any more.")
    var forgetOld = false

    func run() async throws {
        let secrets = Secrets(installation: options.installation)
        let isElsewhere = try await settings() != nil
        if isElsewhere, !continues {
            throw CommandProblem(
                "the keys come from MARTLET_KEY_ENCRYPTION_KEYS: put a new one first there,"
                    + " restart the services, and run this with --continue")
        }
        if !continues {
            let entries = try secrets.keyEncryptionKeys()
            try write([.random()] + entries)
        }
        let keys = try await settings() ?? installed(secrets)
        print("the key in force is \(keys.currentID)")
        let left = try await options.withDatabase { pool in
            try await Self.rewrap(KeyRewrapping(pool: pool, keys: keys), current: keys.currentID)
        }
        guard left.isEmpty else {
            throw CommandProblem(
                "data keys are still wrapped under \(left.keys.sorted().joined(separator: ", ")):"
                    + " a service that has not read the new key yet makes them; run this again with --continue"
            )
        }
        print("no data key is wrapped under an older one")
        if forgetOld, !isElsewhere {
            try write(Array(try secrets.keyEncryptionKeys().prefix(1)))
            print("the older keys are gone from \(options.installation.path(of: .keyEncryptionKeys))")
        }
    }

    /// Wraps everything anew, again while services that run still make keys under an older one; returns what is left. They
    /// read the new one some seconds after it is there, so nothing left once doesn't mean that nothing comes.
    static func rewrap(_ rewrapping: KeyRewrapping, current: String) async throws -> [String: Int] {
        var left: [String: Int] = [:]
        var isQuiet = false
        for attempt in 0..<4 {
            if attempt > 0 { try await Task.sleep(for: .seconds(6)) }
            let total = try await rewrapping.counts().filter { $0.key != current }.values.reduce(0, +)
            if total > 0 {
                let done = try await rewrapping.run { print("wrapped \($0) of \(total) data keys anew") }
                print("wrapped \(done) data keys anew")
            }
            left = try await rewrapping.counts().filter { $0.key != current }
            if left.isEmpty, isQuiet { break }
            isQuiet = left.isEmpty
        }
        return left
    }

    /// The keys that the environment gives; nil when it gives none.
    private func settings() async throws -> KeyEncryptionKeys? {
        let environment = ProcessInfo.processInfo.environment
        let names = ["MARTLET_KEY_ENCRYPTION_KEYS", "MARTLET_KEY_ENCRYPTION_KEYS_FILE"]
        guard names.contains(where: { environment[$0]?.isEmpty == false }) else { return nil }
        return try await ServiceSettings().keyEncryptionKeys()
    }

    private func installed(_ secrets: Secrets) throws -> KeyEncryptionKeys {
        KeyEncryptionKeys(
            try secrets.keyEncryptionKeys(), oldest: [.derived(from: try secrets.identifierSecret())])
    }

    private func write(_ entries: [KeyEncryptionKeys.Entry]) throws {
        try options.installation.write(
            entries.map { $0.text + "\n" }.joined(), to: .keyEncryptionKeys)
    }
}
