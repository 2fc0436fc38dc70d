import Foundation
import IdentityDomain
import Models
import Testing

@Suite("Matching data sets that others published")
struct MatchingDataTests {
    private static let directory = "../shared/data"

    private static func isThere(_ file: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(directory)/\(file)")
    }

    /// The columns of a plain CSV file by name; no field of these files is quoted.
    private func columns(_ file: String) throws -> [String: [String?]] {
        let text = try String(contentsOfFile: "\(Self.directory)/\(file)", encoding: .utf8)
        let rows = text.split(whereSeparator: \.isNewline).map { row in
            row.split(separator: ",", omittingEmptySubsequences: false).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
        }
        var columns: [String: [String?]] = [:]
        for (place, name) in (rows.first ?? []).enumerated() {
            columns[name] = rows.dropFirst().map { $0[place].isEmpty ? nil : $0[place] }
        }
        return columns
    }

    private func match(
        _ file: String, _ fields: KeyValuePairs<String, MatchField>, truth: (([String: [String?]])) -> [Int]
    ) throws -> (pairs: MatchQuality, clusters: MatchQuality) {
        let columns = try columns(file)
        let table = MatchTable(
            try MatchSchema(fields.map(\.value)), columns: fields.map { columns[$0.key] ?? [] },
            workers: .cores)
        let matching = RecordMatching(table, workers: .cores)
        let truth = truth(columns)
        return (MatchQuality(matching.proposals(), truth), MatchQuality(matching.groups(), truth))
    }

    @Test(
        "Febrl 3: F1 of pairs and of groups is at least 0.9967",
        .enabled(if: isThere("febrl3.csv"), "../shared/data/febrl3.csv is not there"))
    func febrl() throws {
        let quality = try match(
            "febrl3.csv",
            [
                "given_name": .givenName, "surname": .surname, "street_number": .streetNumber,
                "address_1": .address, "address_2": .address, "suburb": .city, "postcode": .postcode,
                "state": .state, "date_of_birth": .dateOfBirth, "soc_sec_id": .nationalID,
            ]
        ) { columns in
            (columns["rec_id"] ?? []).map { Int($0?.split(separator: "-")[1] ?? "") ?? -1 }
        }
        #expect(quality.pairs.f1 >= 0.9967, "\(quality.pairs)")
        #expect(quality.clusters.f1 >= 0.9967, "\(quality.clusters)")
    }

    @Test(
        "fake-1000: F1 of groups is at least 0.95",
        .enabled(if: isThere("fake-1000.csv"), "../shared/data/fake-1000.csv is not there"))
    func fake() throws {
        let quality = try match(
            "fake-1000.csv",
            [
                "first_name": .givenName, "surname": .surname, "dob": .dateOfBirth, "city": .city,
                "email": .email,
            ]
        ) { columns in (columns["cluster"] ?? []).map { Int($0 ?? "") ?? -1 } }
        #expect(quality.clusters.f1 >= 0.95, "\(quality.clusters)")
        #expect(quality.pairs.f1 >= 0.94, "\(quality.pairs)")
    }
}
