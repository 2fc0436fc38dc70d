import HTTPTypes
package import JourneysDomain
import Models
package import ServiceKit

/// The text of a definition in one of the forms that are taken.
package struct JourneyText: Sendable {
    package enum Format: String, Sendable {
        case yaml, json
    }

    /// Longer than any journey that a person can oversee.
    package static let maxBytes = 256 << 10
    package static let mediaTypes = [
        "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "application/json",
    ]

    package let format: Format
    package let bytes: [UInt8]

    package init(mediaType: String, bytes: [UInt8]) {
        format = mediaType == "application/json" ? .json : .yaml
        self.bytes = bytes
    }

    package var source: String { String(decoding: bytes, as: UTF8.self) }

    /// The definition as it was written, and what it means for the journey `id`; a problem with every mistake
    /// and its place when it means nothing.
    package func read(id: String) throws(Problem) -> (node: DefinitionNode, document: JourneyDocument) {
        do {
            let node = try node()
            return (node, try JourneyDocument.read(node, id: id, version: 0))
        } catch let error as DefinitionMistake {
            throw refusal([error], id: id)
        } catch let error as InvalidJourney {
            throw refusal(error.mistakes, id: id)
        } catch {
            throw .badRequest("the definition cannot be read")
        }
    }

    private func node() throws(DefinitionMistake) -> DefinitionNode {
        switch format {
        case .yaml: try DefinitionYAML.parse(bytes)
        case .json: try DefinitionJSON.parse(bytes)
        }
    }

    private func refusal(_ mistakes: [DefinitionMistake], id: String) -> Problem {
        Problem(
            status: .badRequest, type: "invalid-journey", title: "The journey has mistakes",
            detail: mistakes.first?.described(in: "\(id).\(format.rawValue)"),
            extensions: ["errors": .array(mistakes.map(\.json))])
    }
}
