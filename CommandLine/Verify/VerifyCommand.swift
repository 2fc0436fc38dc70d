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

    /// Signed ends of one request, which takes twice as many: those of three weeks without a quiet hour. The older ones tell of
    /// what was cut off before the newer were signed, so they are sent as well, the newest first.
    private static let lines = 500

    func run() async throws {
        guard
            let key = apiKey ?? ProcessInfo.processInfo.environment["MARTLET_API_KEY"]
                ?? options.installation.read(.adminKey)
        else { throw CommandProblem("no API key is known; give --api-key, or start `martlet up` first") }
        let signed = try signedHeads()
        let url = options.installation.url(of: .consent)
        let report = try await Self.report(by: "\(url)/v1/audit/verify", key, signed) { problem in
            CommandProblem("the ledger can't be verified: \(problem)")
        }
        print(json ? report.compact : Self.text(report, signed: signed.count))
        if report["valid"]?.bool != true { throw ExitCode(1) }
    }

    /// What a service says of its chains and of all the signed ends. It goes along the chains once, with the newest ends; the others
    /// are compared with what stands at their positions.
    static func report(
        by url: String, _ key: String, _ signed: [JSON], failing: (String) -> CommandProblem
    ) async throws -> JSON {
        var reports: [JSON] = []
        for (number, lot) in lots(signed).enumerated() {
            let answer = try await APIClient.with { api in
                try await api.send(
                    "POST", number == 0 ? url : "\(url)?walk=false", as: .bearer(key),
                    body: Array(JSON.object(["heads": .array(lot)]).compact.utf8), timeout: .seconds(3_600))
            }
            guard answer.status == 200, let report = answer.json else { throw failing(answer.problem) }
            reports.append(report)
        }
        return merged(reports)
    }

    /// The newest first; one lot of none where there is none.
    static func lots(_ signed: [JSON]) -> [[JSON]] {
        var lots: [[JSON]] = []
        var rest = signed[...]
        repeat {
            lots.append(Array(rest.suffix(lines)))
            rest = rest.dropLast(lines)
        } while !rest.isEmpty
        return lots
    }

    /// The first report with the faults of all.
    static func merged(_ reports: [JSON]) -> JSON {
        guard var members = reports.first?.object else { return .null }
        var shards = members["shards"]?.array ?? []
        func isSame(_ one: JSON, _ other: JSON) -> Bool {
            one["shard"] == other["shard"] && one["log"] == other["log"]
        }
        for shard in reports.dropFirst().flatMap({ $0["shards"]?.array ?? [] }) {
            guard let place = shards.firstIndex(where: { isSame($0, shard) }) else {
                shards.append(shard)
                continue
            }
            let known = shards[place]["faults"]?.array ?? []
            let new = (shard["faults"]?.array ?? []).filter { !known.contains($0) }
            guard !new.isEmpty, var changed = shards[place].object else { continue }
            changed["faults"] = .array(known + new)
            shards[place] = .object(changed)
        }
        members["shards"] = .array(shards)
        members["valid"] = .bool(reports.allSatisfy { $0["valid"]?.bool == true })
        return .object(members)
    }

    private func signedHeads() throws -> [JSON] {
        let path = heads ?? options.installation.path(of: "ledger-heads") + "/ledger-heads.ndjson"
        if let documents = Self.documents(in: path) { return documents }
        if let heads { throw CommandProblem("\(heads) can't be read") }
        return []
    }

    /// The lines of a file of signed ends; nil where it is not there.
    static func documents(in path: String) -> [JSON]? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
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
