package import Models

/// The ends of the ledger's chains.
package typealias LedgerHeads = ChainHeads
