import JourneysDomain
import Models

@testable import JourneysServer

/// Definitions for tests, as authors write them.
enum TestJourney {
    static let abandonedCart = """
        name: Abandoned cart
        status: active
        entry:
          event: Product Added
          reentry: {after: 3d}
        exits:
          - event: Order Completed
        steps:
          - wait: {for: 1h}
          - label: reminder
            send: {template: abandoned-cart-reminder, channel: email, purpose: marketing}
          - wait: {for: 23h}
          - send:
              template: abandoned-cart-discount
              purpose: marketing
              variables: {percent: 10}
          - wait: {for: 2d}
          - send: {template: abandoned-cart-last-call, purpose: marketing}
        """

    static func definition(_ yaml: String, id: String = "journey", version: Int = 1) throws
        -> JourneyDefinition
    {
        try JourneyDocument.read(DefinitionYAML.parse(Array(yaml.utf8)), id: id, version: version).definition
    }

    static func catalog(_ definitions: JourneyDefinition..., status: JourneyStatus = .active)
        -> JourneyCatalog
    {
        JourneyCatalog(current: definitions.map { .init(definition: $0, status: status) })
    }

    /// Every mistake of a text, as `line:column path: expected …, found …`.
    static func mistakes(_ yaml: String) -> [String] {
        func words(_ mistake: DefinitionMistake) -> String {
            "\(mistake.mark.line):\(mistake.mark.column) \(mistake.path): expected \(mistake.expected), found \(mistake.found)"
        }
        do {
            _ = try JourneyDocument.read(DefinitionYAML.parse(Array(yaml.utf8)), id: "journey", version: 1)
            return []
        } catch let error as DefinitionMistake {
            return [words(error)]
        } catch let error as InvalidJourney {
            return error.mistakes.map(words)
        } catch {
            return ["\(error)"]
        }
    }
}
