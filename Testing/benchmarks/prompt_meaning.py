"""How often a prompt is understood: paraphrases of known concepts, and phrases that must stay unknown.

python Testing/benchmarks/prompt_meaning.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from MaskWhatMattersLib.relevance.concepts import understand
from MaskWhatMattersLib.relevance.sentence_embedding import is_installed, sentence_similarity

PARAPHRASES = {
    "lungs": [
        "both lungs",
        "pulmonary fields",
        "the lungs",
        "lung parenchyma",
        "breathing organs",
        "lungs on chest x-ray",
    ],
    "left lung": ["lung, left", "left pulmonary field", "the left lung of the patient", "left lungs", "lt lung"],
    "right kidney": ["kidney right", "right renal organ", "rt kidney", "right kidneys"],
    "brain tumor": [
        "tumour",
        "glioma",
        "intracranial neoplasm",
        "cancer in the brain",
        "brain tumors",
        "cerebral neoplasm",
    ],
    "left atrium": ["LA", "left atrial chamber", "left atrial cavity", "left upper heart chamber"],
    "left ventricle": ["LV cavity", "left ventricular cavity", "LV blood pool"],
    "right ventricle": ["right ventricular cavity", "RV"],
    "myocardium": ["heart muscle", "cardiac muscle tissue", "muscular wall of the heart"],
    "liver": ["hepatic tissue", "the liver", "liver organ", "hepatic organ"],
    "spleen": ["the spleen", "splenic tissue", "splen"],
    "hippocampus": ["hippocampi", "hippocampal formation", "hipocampus", "hippocampal region"],
    "mandible": ["lower jaw", "jaw bone", "mandibular bone", "mandibel"],
    "brain stem": ["brainstem", "the brain-stem"],
    "spinal cord": ["cord of the spine", "spinal chord", "medulla spinalis"],
    "left parotid gland": ["left parotid", "parotid gland, left", "left parotid salivary gland"],
    "larynx": ["voice box", "laryngeal structure"],
    "oesophagus": ["esophagus", "gullet", "esophageal tube"],
    "cerebellum": ["the cerebellum", "cerebellar tissue"],
}
UNKNOWN = [
    "right atrium", "prostate", "pancreas", "stomach", "gallbladder", "aorta", "femur", "liver tumor", "lung nodule",
    "kidney stone", "heart", "thyroid", "optic nerve", "cat", "bicycle", "purple elephant", "uterus", "bladder",
    "colon", "rib", "vertebra", "pulmonary artery", "left hand", "eye", "teeth", "tongue", "adrenal gland", "skin",
    "atrial fibrillation", "pneumonia", "hematoma", "cyst", "submandibular gland", "pituitary gland", "vena cava",
    "coronary artery", "trachea", "duodenum", "breast", "knee cartilage",
]  # fmt: skip


def main() -> None:
    """Print and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    for name, similarity in (("words", None), ("words_and_meaning", sentence_similarity if is_installed() else None)):
        if name == "words_and_meaning" and similarity is None:
            print("The sentence encoder is not installed: only words were measured.")
            continue
        right = wrong = total = 0
        for concept, prompts in PARAPHRASES.items():
            for prompt in prompts:
                found = understand(prompt, similarity)
                total += 1
                right += found.concept == concept and not found.unsupported
                if found.concept != concept:
                    print(f'  {name}: "{prompt}" -> {found.concept or "unknown"}, meant {concept}')
                wrong += found.concept not in (None, concept)
        let_through = [prompt for prompt in UNKNOWN if understand(prompt, similarity).concept]
        print(f"{name}: understood {right}/{total}, mistaken {wrong}, unknown let through {let_through}")
        figures |= {
            f"{name}_understood_share": right / total,
            f"{name}_mistaken_share": wrong / total,
            f"{name}_unknown_let_through_share": len(let_through) / len(UNKNOWN),
        }
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
