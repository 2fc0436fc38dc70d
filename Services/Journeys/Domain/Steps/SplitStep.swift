import Models

/// Divides profiles by a hash of (journey, profile, step), so that the same profile always gets the same
/// variant: `split: {variants: [{name: a, weight: 50, then: […]}, …]}`.
package struct SplitStep: JourneyStep {
    private struct Variant: Sendable {
        var name: String
        var weight: UInt64
        var target: String?
    }

    package static let keyword = "split"

    private let variants: [Variant]
    private let total: UInt64

    package init?(_ node: DefinitionNode, _ site: StepSite, _ builder: inout ProgramBuilder) {
        let log = builder.log
        let expected = "`{variants: [{name: a, weight: 50, then: […]}, …]}`"
        guard var reader = ObjectReader(node, site.path, log, expected: expected) else { return nil }
        let written = reader.optionalList("variants", expected: "a list of `{name: …, weight: …, then: […]}`")
        reader.finish()
        guard let written, written.count >= 2 else {
            log.report(node, site.path, expected: "at least two variants under `variants`")
            return nil
        }
        var variants: [Variant] = []
        for (node, path) in written {
            guard let variant = Self.variant(node, path, site, &builder) else { continue }
            if variants.contains(where: { $0.name == variant.name }) {
                log.report(
                    node, path, expected: "variants with different names", found: "“\(variant.name)” again")
            }
            variants.append(variant)
        }
        guard variants.count == written.count else { return nil }
        self.variants = variants
        total = variants.reduce(0) { $0 + $1.weight }
    }

    private static func variant(
        _ node: DefinitionNode, _ path: String, _ site: StepSite, _ builder: inout ProgramBuilder
    ) -> Variant? {
        let log = builder.log
        guard
            var reader = ObjectReader(
                node, path, log, expected: "a variant `{name: …, weight: …, then: […]}`")
        else { return nil }
        let naming = "a name of lower-case letters, digits and hyphens"
        let name = reader.string("name", expected: naming)
        let weight = reader.required("weight", expected: "a whole number from 1 to 1000000")
        let then = reader.required("then", expected: "a list of steps, which may be empty")
        reader.finish()
        guard let name, let weight, let then else { return nil }
        guard JourneyDocument.isName(name) else {
            log.report(node, "\(path).name", expected: naming, found: "“\(name)”")
            return nil
        }
        guard case .integer(let number) = weight.value, (1...1_000_000).contains(number) else {
            log.report(weight, "\(path).weight", expected: "a whole number from 1 to 1000000")
            return nil
        }
        let target = builder.block(
            then, path: "\(path).then", prefix: "\(site.name).\(name).", following: site.next)
        return Variant(name: name, weight: UInt64(number), target: target)
    }

    package func targets(next: String?) -> [String] { variants.compactMap(\.target) }

    package func begin(_ moment: StepMoment) -> StepResult {
        let variant = choose(moment)
        return .jump(to: variant.target, .split, ["variant": .string(variant.name)])
    }

    private func choose(_ moment: StepMoment) -> Variant {
        // A profile that was merged away in the meantime keeps the variant it got.
        let kept = moment.instance.variants[moment.step]
        if let kept, let variant = variants.first(where: { $0.name == kept }) { return variant }
        let hash = StableHash.hash64(
            moment.instance.journey, moment.instance.profileID.description, moment.step)
        // The upper part of a product, as this spreads evenly without the bias of a remainder.
        var point = hash.multipliedFullWidth(by: total).high
        for variant in variants {
            if point < variant.weight { return variant }
            point -= variant.weight
        }
        return variants[variants.count - 1]
    }
}
