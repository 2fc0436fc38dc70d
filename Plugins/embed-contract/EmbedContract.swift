import Foundation

/// `embed-contract NAME FILE OUTPUT` writes Swift source that holds FILE's text as `Contracts.NAMEText`.
@main
struct EmbedContract {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4 else {
            FileHandle.standardError.write(Data("usage: embed-contract NAME FILE OUTPUT\n".utf8))
            exit(2)
        }
        let text = try String(contentsOfFile: arguments[2], encoding: .utf8)
        // More marks than the text has in a row, so that nothing in it ends the literal.
        let marks = String(repeating: "#", count: 8)
        guard !text.contains(marks) else {
            FileHandle.standardError.write(
                Data("embed-contract: \(arguments[2]) has \(marks) in it: write fewer\n".utf8))
            exit(1)
        }
        let source = """
            extension Contracts {
                static let \(arguments[1])Text: String = \(marks)\"\"\"
            \(text)
            \"\"\"\(marks)
            }
            """
        try source.write(toFile: arguments[3], atomically: true, encoding: .utf8)
    }
}
