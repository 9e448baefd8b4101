//! The orchestrator: workflows, node-server processes, assets
