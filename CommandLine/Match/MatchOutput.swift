import Foundation
import IdentityDomain
import Models

/// What `martlet match` writes and says.
enum MatchOutput {
    static func write(
        _ proposals: [MatchProposal], of matching: RecordMatching, _ records: MatchFile, explained: Bool,
        to path: String
    ) throws {
        var text = "a,b,weight,probability,verdict\(explained ? ",explanation" : "")\n"
        for proposal in proposals {
            text += quoted(records.id(proposal.a)) + "," + quoted(records.id(proposal.b)) + ","
            text +=
                "\(rounded(proposal.weight, 1000)),\(rounded(proposal.probability, 1e6)),\(proposal.verdict.rawValue)"
            if explained {
                text += "," + quoted(matching.explain(proposal.a, proposal.b).json.compact)
            }
            text += "\n"
        }
        try write(text, to: path)
    }

    static func write(_ groups: [Int], _ records: MatchFile, to path: String) throws {
        var text = "id,person\n"
        for (record, group) in groups.enumerated() {
            text += quoted(records.id(record)) + "," + quoted(records.id(group)) + "\n"
        }
        try write(text, to: path)
    }

    private static func write(_ text: String, to path: String) throws {
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw CommandProblem("cannot write \(path): \(error.localizedDescription)")
        }
    }

    private static func rounded(_ value: Double, _ scale: Double) -> Double {
        (value * scale).rounded() / scale
    }

    /// A field of a CSV file (RFC 4180).
    static func quoted(_ text: String) -> String {
        let special = text.utf8.contains { $0 == 0x22 || $0 == 0x2C || $0 == 0x0A || $0 == 0x0D }
        return special ? "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\"" : text
    }

    /// What was done, in a few lines.
    static func summary(
        _ matching: RecordMatching, _ proposals: [MatchProposal], _ groups: [Int]
    ) -> [String] {
        let merged = proposals.count { $0.verdict == .merge }
        return [
            "\(groups.count) records, about \(matching.compared) pairs compared",
            "\(merged) pairs to merge, \(proposals.count - merged) to review",
            "\(groups.indices.count { groups[$0] == $0 }) people",
        ]
    }
}

/// How long look-ups of single records take.
struct LookUpTimes {
    let line: String

    init(_ count: Int, _ records: MatchFile, _ matching: RecordMatching, _ workers: MatchWorkers) throws {
        var index = MatchIndex(matching, workers: workers)
        let clock = ContinuousClock()
        guard records.count > 0 else { throw CommandProblem("there is no record to look up") }
        var took = (0..<count).map { number in
            let record = number * 7919 % records.count
            let values = records.values.map { $0[record] }
            let started = clock.now
            _ = index.look(up: values)
            return Double((clock.now - started).components.attoseconds) / 1e15
        }
        took.sort()
        func at(_ share: Double) -> String { String(format: "%.3f", took[Int(Double(count - 1) * share)]) }
        line = "\(count) look-ups: median \(at(0.5)) ms, p99 \(at(0.99)) ms, longest \(at(1)) ms"
    }
}
