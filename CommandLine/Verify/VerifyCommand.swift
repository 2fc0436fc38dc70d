import ArgumentParser
import Foundation
import Models
import ServiceKit

/// `martlet verify`
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check that what was recorded is still what it was.",
        subcommands: [VerifyLedgerCommand.self, VerifyAuditCommand.self, VerifyReceiptCommand.self])
}

/// `martlet verify ledger`
struct VerifyLedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger",
        abstract:
            "Go through the consent ledger and say what was edited, removed, reordered, cut off or made anew.",
        discussion: """
            Ends with status 1 when something does not hold. The ends of the chains that consent signs and exports
            (ledger-heads/ledger-heads.ndjson) show what somebody with all rights in the database has done: keep a copy
            of that file elsewhere, and give it by --heads.

            EXAMPLE:
              martlet verify ledger --heads /mnt/safe/ledger-heads.ndjson
            """)

    @OptionGroup var options: InstallationOptions
    @Option(help: "Signed ends of the chains, a line each; those of the installation by default.") var heads:
        String?
    @Option(help: "An API key with the scope `consent:read`; that of the installation by default.")
    var apiKey: String?
    @Flag(help: "Answer in JSON.") var json = false

    /// The last of them, those of three weeks without a quiet hour: the older ones tell of what was cut off before the newer
    /// were signed. A request takes twice as many.
    private static let lines = 500

    func run() async throws {
        guard
            let key = apiKey ?? ProcessInfo.processInfo.environment["MARTLET_API_KEY"]
                ?? options.installation.read(.adminKey)
        else { throw CommandProblem("no API key is known; give --api-key, or start `martlet up` first") }
        let signed = try signedHeads()
        let url = options.installation.url(of: .consent)
        let answer = try await APIClient.with { api in
            try await api.send(
                "POST", "\(url)/v1/audit/verify", as: .bearer(key),
                body: Array(JSON.object(["heads": .array(signed)]).compact.utf8), timeout: .seconds(3_600))
        }
        guard answer.status == 200, let report = answer.json else {
            throw CommandProblem("the ledger can't be verified: \(answer.problem)")
        }
        print(json ? report.compact : Self.text(report, signed: signed.count))
        if report["valid"]?.bool != true { throw ExitCode(1) }
    }

    private func signedHeads() throws -> [JSON] {
        let path = heads ?? options.installation.path(of: "ledger-heads") + "/ledger-heads.ndjson"
        if let documents = Self.documents(in: path) { return documents }
        if let heads { throw CommandProblem("\(heads) can't be read") }
        return []
    }

    /// The last lines of a file of signed ends; nil where it is not there.
    static func documents(in path: String) -> [JSON]? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n").suffix(Self.lines)
        let documents = lines.compactMap { try? JSONParser.parse(Array($0.utf8)[...]) }
        // A machine that went while it wrote leaves a stump.
        if documents.count < lines.count {
            FileHandle.standardError.write(
                Data("\(lines.count - documents.count) lines of \(path) are no JSON, and are left out\n".utf8)
            )
        }
        return documents
    }

    /// For people.
    static func text(_ report: JSON, signed: Int) -> String {
        var lines: [String] = []
        for shard in report["shards"]?.array ?? [] {
            for fault in shard["faults"]?.array ?? [] {
                lines.append(
                    "shard \(shard["shard"]?.integer ?? 0), entry \(fault["position"]?.integer ?? 0): "
                        + (fault["kind"]?.string ?? ""))
            }
        }
        for fault in report[path: "state.faults"]?.array ?? [] {
            lines.append(
                "profile \(fault["profileId"]?.string ?? ""), \(fault["purpose"]?.string ?? ""): "
                    + "what stands is not what the ledger says")
        }
        let what =
            "\(report["entries"]?.integer ?? 0) entries, "
            + "\(report[path: "state.decisions"]?.integer ?? 0) standing decisions, \(signed) signed ends"
        return (lines + [lines.isEmpty ? "nothing wrong: \(what)" : "\(lines.count) faults: \(what)"])
            .joined(separator: "\n")
    }
}
