import Foundation
import IngestionDomain
import MarkedYAML
import Models

/// A mistake in a file that a person wrote: where it is, and what was expected there.
struct FileProblem: Error, Equatable, CustomStringConvertible {
    let file: String
    let line: Int
    let message: String

    var description: String { "\(file):\(line): \(message)" }
}

/// A mapping file with its text, as ingestion takes it.
struct MappingFile: Sendable {
    let mapping: ImportMapping
    let text: [UInt8]

    /// Reads a mapping file, refusing mistakes with file and line.
    static func read(path: String) throws -> MappingFile {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandProblem("cannot read \(path): expected a mapping file")
        }
        return try read(Array(data), file: path)
    }

    static func read(_ text: [UInt8], file: String) throws(FileProblem) -> MappingFile {
        let node = try YAMLFile.node(text, file: file, what: "a mapping")
        do throws(InvalidMapping) {
            return MappingFile(mapping: try ImportMapping(json: node.json), text: text)
        } catch {
            guard let first = error.mistakes.first else {
                throw FileProblem(file: file, line: 1, message: "expected a mapping")
            }
            // All of them, each with its place, below the first.
            let others = error.mistakes.dropFirst().map {
                "\n\(file):\(node.mark(at: $0.path).line): \($0)"
            }
            throw FileProblem(
                file: file, line: node.mark(at: first.path).line, message: "\(first)" + others.joined())
        }
    }
}

/// YAML files on this machine.
enum YAMLFile {
    static func node(_ text: [UInt8], file: String, what: String) throws(FileProblem) -> YAMLNode {
        do throws(YAMLMistake) {
            return try YAMLReader.parse(text, what: what, depth: 64)
        } catch {
            throw FileProblem(
                file: file, line: error.mark.line, message: "expected \(error.expected), found \(error.found)"
            )
        }
    }
}
