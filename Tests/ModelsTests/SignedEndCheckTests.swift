import Models
import Testing

@Suite("Signed ends compared with what stands")
struct SignedEndCheckTests {
    @Test(
        "whatever was signed and whatever stands, a comparison finds what going along the chain finds of the ends"
    )
    func oracle() {
        var generator = seededGenerator()
        for _ in 0..<5_000 {
            let end = Int64.random(in: 0...12, using: &generator)
            let anchor = Bool.random(using: &generator) ? Int64.random(in: 0...end, using: &generator) : 0
            func hash() -> [UInt8] { [UInt8.random(in: 0...2, using: &generator)] }
            let chain = (0...14).map { _ in hash() }
            var signed: [Int64: [UInt8]] = [:]
            for _ in 0..<Int.random(in: 0...4, using: &generator) {
                let position = Int64.random(in: 1...14, using: &generator)
                signed[position] = Bool.random(using: &generator) ? chain[Int(position)] : hash()
            }
            var standing: [Int64: [UInt8]] = [:]
            for position in signed.keys where position > anchor && position <= end {
                standing[position] = chain[Int(position)]
            }
            var walk = ChainWalk(
                shard: Shard.all[3], genesis: chain[Int(anchor)], anchor: anchor, signed: signed,
                digest: { $0 })
            for position in anchor..<end {
                walk.take(
                    Link(
                        position: position + 1, previousHash: chain[Int(position)],
                        hash: chain[Int(position) + 1])
                )
            }
            walk.finish(position: end, head: chain[Int(end)])
            let found = SignedEndCheck.faults(
                of: signed, standing: standing, end: end,
                anchor: anchor > 0 ? (anchor, chain[Int(anchor)]) : nil)
            #expect(Set(found) == Set(walk.faults), "\(end) \(anchor) \(signed) \(chain)")
        }
    }

    private struct Link: ChainLink {
        let shard = Shard.all[3]
        let position: Int64
        let previousHash: [UInt8]
        let hash: [UInt8]

        func canonicalBytes() -> [UInt8] { hash }
    }
}
