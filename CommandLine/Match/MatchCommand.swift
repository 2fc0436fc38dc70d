import ArgumentParser
import Dispatch
import IdentityDomain
import Models

/// `martlet match`
struct MatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "match",
        abstract: "Find the records of a CSV file that are of one person.",
        discussion: """
            The engine is the one that identity matches profiles with: it learns from the file itself what agreement
            and disagreement of each column are worth, and needs to be told nothing but what the columns hold. Nothing
            leaves this machine and no installation is needed.

            Fields: \(MatchField.allCases.map(\.rawValue).joined(separator: ", ")).

            --pairs writes the pairs that may be of one person with their weight in bits and their probability, and
            with --explain why, a field at a time; --clusters writes for each record the id of the first record of its
            person.

            EXAMPLE:
              martlet match customers.csv --columns first_name=givenName,last_name=surname,dob=dateOfBirth,email=email \\
                --id customer_no --clusters people.csv --pairs pairs.csv --explain
            """)

    @Argument(help: "A CSV file with a line of names first, also packed as .gz.") var file: String
    @Option(help: "What the columns hold: column=field,column=field…") var columns: String
    @Option(help: "The column that names the records; the number of the record by default.") var id: String?
    @Option(help: "Where to write the pairs.") var pairs: String?
    @Option(help: "Where to write who is who.") var clusters: String?
    @Flag(help: "Write the explanation of each pair beside it.") var explain = false
    @Option(help: "The probability from which pairs are merged.") var merge = MatchPolicy.standard.merge
    @Option(help: "The probability from which pairs are to be reviewed.") var review =
        MatchPolicy.standard.review
    @Option(help: "Look so many records of the file up, one by one, and say how long it took.") var lookUps =
        0

    func validate() throws {
        _ = try MatchColumns(columns)
        _ = try policy()
        if explain, pairs == nil { throw ValidationError("--explain needs --pairs") }
        if lookUps < 0 { throw ValidationError("--look-ups must not be negative") }
    }

    private func policy() throws -> MatchPolicy {
        do { return try MatchPolicy(merge: merge, review: review) } catch {
            throw ValidationError("\(error)")
        }
    }

    func run() async throws {
        let progress = MatchProgress()
        let workers = MatchWorkers { count, body in
            DispatchQueue.concurrentPerform(iterations: count, execute: body)
        }
        let chosen = try MatchColumns(columns)
        progress.begin("reading")
        let records = try MatchFile(path: file, columns: chosen, id: id, workers: workers)
        let table = MatchTable(try chosen.schema(), columns: records.values, workers: workers)
        let matching = RecordMatching(table, policy: try policy(), workers: workers) {
            progress.begin($0.rawValue)
        }
        progress.begin("grouping")
        let groups = matching.groups()
        let proposals = matching.proposals()
        progress.begin("writing")
        let written = workers.map(2) { half in
            Result {
                if half == 0, let pairs {
                    try MatchOutput.write(proposals, of: matching, records, explained: explain, to: pairs)
                }
                if half == 1, let clusters { try MatchOutput.write(groups, records, to: clusters) }
            }
        }
        for each in written { try each.get() }
        progress.end()
        for line in MatchOutput.summary(matching, proposals, groups) { print(line) }
        if lookUps > 0 { print(try LookUpTimes(lookUps, records, matching, workers).line) }
    }
}
