import ArgumentParser
import IdentityDomain

/// What the columns of a file hold, as it is given on the command line: `dob=dateOfBirth,email=email`.
struct MatchColumns: Equatable {
    private(set) var names: [String] = []
    private(set) var fields: [MatchField] = []

    init(_ text: String) throws {
        for part in text.split(separator: ",") {
            let sides = part.split(separator: "=", maxSplits: 1).map(String.init)
            guard sides.count == 2 else {
                throw ValidationError("--columns: “\(part)” must be column=field")
            }
            guard let field = MatchField(rawValue: sides[1]) else {
                throw ValidationError(
                    "--columns: “\(sides[1])” is no field; expected one of "
                        + MatchField.allCases.map(\.rawValue).joined(separator: ", "))
            }
            guard !names.contains(sides[0]) else {
                throw ValidationError("--columns: “\(sides[0])” is there twice")
            }
            names.append(sides[0])
            fields.append(field)
        }
        _ = try schema()
    }

    func schema() throws -> MatchSchema {
        do { return try MatchSchema(fields) } catch { throw ValidationError("--columns: \(error)") }
    }
}
