import ArgumentParser
import Foundation
import Models
import ServiceKit

/// `martlet verify audit`
struct VerifyAuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract:
            "Go through the audit logs and say what was edited, removed, reordered, cut off or made anew.",
        discussion: """
            Ends with status 1 when something does not hold, and with another where a service can't be asked. The ends of the
            chains that each service signs and exports (ledger-heads/audit-heads-SERVICE.ndjson) show what somebody with all
            rights in the database has done: keep copies of these files elsewhere, and give their directory by --heads.

            EXAMPLE:
              martlet verify audit --heads /mnt/safe
            """)

    @OptionGroup var options: InstallationOptions
    @Option(help: "The directory with the signed ends; that of the installation by default.") var heads:
        String?
    @Option(help: "An API key with the scope `audit:read`; that of the installation by default.")
    var apiKey: String?
    @Flag(help: "Answer in JSON, an object per service.") var json = false

    func run() async throws {
        guard
            let key = apiKey ?? ProcessInfo.processInfo.environment["MARTLET_API_KEY"]
                ?? options.installation.read(.adminKey)
        else { throw CommandProblem("no API key is known; give --api-key, or start `martlet up` first") }
        var isValid = true
        for service in ServiceName.allCases where service != .console {
            let signed = signedEnds(of: service)
            let url = options.installation.url(of: service)
            let report = try await VerifyLedgerCommand.report(by: "\(url)/v1/audit-log/verify", key, signed) {
                CommandProblem("the audit log of \(service.rawValue) can't be verified: \($0)")
            }
            print(json ? report.compact : Self.text(report, of: service, signed: signed.count))
            isValid = isValid && report["valid"]?.bool == true
        }
        if !isValid { throw ExitCode(1) }
    }

    /// Consent shows the log of API keys as well.
    private func signedEnds(of service: ServiceName) -> [JSON] {
        let directory = heads ?? options.installation.path(of: "ledger-heads")
        return ([service.rawValue] + (service == .consent ? ["keys"] : [])).flatMap { log in
            VerifyLedgerCommand.documents(in: "\(directory)/audit-heads-\(log).ndjson") ?? []
        }
    }

    /// For people.
    static func text(_ report: JSON, of service: ServiceName, signed: Int) -> String {
        var lines: [String] = []
        for shard in report["shards"]?.array ?? [] {
            for fault in shard["faults"]?.array ?? [] {
                lines.append(
                    "\(shard["log"]?.string ?? ""), shard \(shard["shard"]?.integer ?? 0), "
                        + "entry \(fault["position"]?.integer ?? 0): \(fault["kind"]?.string ?? "")")
            }
        }
        let what = "\(report["entries"]?.integer ?? 0) entries, \(signed) signed ends"
        return
            (lines
            + [
                "\(service.rawValue): "
                    + (lines.isEmpty ? "nothing wrong: \(what)" : "\(lines.count) faults: \(what)")
            ])
            .joined(separator: "\n")
    }
}
